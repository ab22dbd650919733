import { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../../platform/metrics.ts';
import type { BreakerState } from './breaker.ts';
import type { TargetStatus } from './target-record.ts';

const stateNumbers: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };
/** Model names come from callers, so only so many targets get lines of their own. */
const maxTargets = 500;

/**
 * The breakers' states, looked up when someone asks, and their changes, counted as they happen.
 * @returns a function that counts a change.
 */
export function createHealthMetrics(
  registry: Metrics,
  statuses: () => readonly TargetStatus[],
): (target: { provider: { name: string }; model: string }, to: BreakerState) => void {
  const register = (name: string, help: string, fill: (gauge: Gauge, status: TargetStatus) => void) =>
    new Gauge({
      name,
      help,
      labelNames: ['provider', 'model'],
      registers: [registry],
      collect() {
        this.reset();
        for (const status of statuses().slice(-maxTargets)) fill(this, status);
      },
    });
  const labelsOf = ({ provider, model }: { provider: { name: string }; model: string }) => ({
    provider: provider.name,
    model,
  });
  register(
    'gatehouse_breaker_state',
    'Circuit breaker of a target: 0 closed, 1 half open, 2 open',
    (gauge, status) => gauge.set(labelsOf(status), stateNumbers[status.state]),
  );
  register('gatehouse_target_in_flight', 'Attempts going on at a target', (gauge, status) =>
    gauge.set(labelsOf(status), status.inFlight),
  );
  const transitions = new Counter({
    name: 'gatehouse_breaker_transitions_total',
    help: 'Changes of a circuit breaker, of a target or one of its keys',
    labelNames: ['provider', 'model', 'to'],
    registers: [registry],
  });
  const counted = new Set<string>();
  return (target, to) => {
    const labels = labelsOf(target);
    const name = `${labels.provider} ${labels.model}`;
    if (counted.size < maxTargets) counted.add(name);
    transitions.inc(counted.has(name) ? { ...labels, to } : { provider: 'other', model: 'other', to });
  };
}
