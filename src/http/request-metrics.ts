import type { FastifyRequest } from 'fastify';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../platform/metrics.ts';

/** Rate, errors and duration of every route (OBS-2). The route's pattern is the label, never the path itself. */
export function createRequestMetrics(registry: Metrics) {
  const total = new Counter({
    name: 'http_requests_total',
    help: 'Requests answered, by route and status',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the first byte of the request to the last of the answer',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    registers: [registry],
  });
  const inFlight = new Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests being answered now',
    registers: [registry],
  });
  return {
    started: () => inFlight.inc(),
    finished(request: FastifyRequest, status: number, seconds: number): void {
      inFlight.dec();
      const route = request.routeOptions.url ?? 'none';
      total.inc({ method: request.method, route, status });
      duration.observe({ method: request.method, route }, seconds);
    },
  };
}
