import { createCounter } from '../../platform/counter.ts';
import { createGauge } from '../../platform/gauge.ts';
import { createHistogram } from '../../platform/histogram.ts';
import type { Metrics } from '../../platform/metrics.ts';

export function createRedisCountersMetrics(metrics: Metrics, isShared: () => boolean) {
  createGauge(
    metrics,
    'gatehouse_limits_redis_state',
    '1: limits are counted together with the other instances; 0: Redis is away, and each counts for itself',
    () => (isShared() ? 1 : 0),
  );
  const local = createCounter(metrics, {
    name: 'gatehouse_limits_local_decisions_total',
    help: 'Admissions decided without Redis, by outcome; closed: refused because the policy says so',
  });
  const recoveries = createCounter(metrics, {
    name: 'gatehouse_limits_recoveries_total',
    help: 'Groups of counters that Redis was told of after it had been away, by whether it had kept what it knew',
  });
  const latency = createHistogram(metrics, {
    name: 'gatehouse_limits_redis_seconds',
    help: 'Time an admission waited for Redis',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1],
  });
  return {
    admitted: local.series({ outcome: 'admitted' }),
    refused: local.series({ outcome: 'refused' }),
    closed: local.series({ outcome: 'closed' }),
    kept: recoveries.series({ memory: 'kept' }),
    lost: recoveries.series({ memory: 'lost' }),
    latency: latency.series({}),
  };
}

export type RedisCountersMetrics = ReturnType<typeof createRedisCountersMetrics>;
