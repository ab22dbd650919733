import { createCounter } from '../platform/counter.ts';
import { createGauge } from '../platform/gauge.ts';
import { createHistogram, type HistogramSeries } from '../platform/histogram.ts';
import type { Metrics } from '../platform/metrics.ts';

interface RouteSeries {
  readonly duration: HistogramSeries;
  /** By status: how often. */
  readonly answered: Map<number, { inc(): void }>;
}

/** Rate, errors and duration of every route (OBS-2). The route's pattern is the label, never the path itself. */
export function createRequestMetrics(registry: Metrics) {
  const total = createCounter(registry, {
    name: 'http_requests_total',
    help: 'Requests answered, by route and status',
  });
  const duration = createHistogram(registry, {
    name: 'http_request_duration_seconds',
    help: 'Time from the first byte of the request to the last of the answer',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
  });
  let inFlight = 0;
  createGauge(registry, 'http_requests_in_flight', 'Requests being answered now', () => inFlight);
  // One entry a route: found by the pattern and method that Fastify keeps anyway.
  const routes = new Map<string, Map<string, RouteSeries>>();
  const seriesOf = (method: string, route: string): RouteSeries => {
    const byMethod = routes.get(route) ?? new Map<string, RouteSeries>();
    routes.set(route, byMethod);
    const known = byMethod.get(method) ?? {
      duration: duration.series({ method, route }),
      answered: new Map(),
    };
    byMethod.set(method, known);
    return known;
  };

  return {
    started(): void {
      inFlight++;
    },
    /** @param route the pattern; undefined when none matched. */
    finished(method: string, route: string | undefined, status: number, seconds: number): void {
      inFlight--;
      const shown = route ?? 'none';
      const series = seriesOf(method, shown);
      series.duration.observe(seconds);
      const answered =
        series.answered.get(status) ?? total.series({ method, route: shown, status: String(status) });
      series.answered.set(status, answered);
      answered.inc();
    },
  };
}
