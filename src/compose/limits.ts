import {
  createLimits,
  createLimitsStore,
  createMemoryCounters,
  createRedisCounters,
  createViolationCount,
} from '../limits/index.ts';
import type { AccessSection } from './access.ts';
import type { Platform } from './platform.ts';

export type LimitsSection = ReturnType<typeof composeLimits>;

/** What limits say, and the counters that decide: in this process, or for all instances together on Redis. */
export function composeLimits(platform: Platform, { access }: AccessSection) {
  const { config, database, notifications, redis, instances, instanceId, clock, newId, metrics, log } =
    platform;
  const limits = createLimits({
    store: createLimitsStore(database),
    access,
    config: config.limits,
    clock,
    newId,
    log,
    countRefusal: createViolationCount(metrics),
    subscribe: (onChange, onGap) => notifications.subscribe('limits_changed', onChange, onGap),
  });
  const ownCounters = createMemoryCounters({ clock, writer: instanceId });
  const sharedCounters =
    redis === null
      ? null
      : createRedisCounters({
          redis,
          writer: instanceId,
          local: ownCounters,
          clock,
          log,
          metrics,
          instances: instances.count,
          policy: config.limits.redisDown,
        });
  return { limits, sharedCounters, counters: sharedCounters ?? ownCounters };
}
