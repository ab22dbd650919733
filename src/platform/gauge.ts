import { Gauge } from 'prom-client';
import type { Metrics } from './metrics.ts';

/** A figure that is looked up when somebody asks for the metrics, and costs nothing before. */
export function createGauge(registry: Metrics, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}
