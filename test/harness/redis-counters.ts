import { createMemoryCounters } from '../../src/limits/counters/memory-counters.ts';
import {
  createRedisCounters,
  type RedisCounters,
  type RedisCountersDependencies,
} from '../../src/limits/counters/redis-counters.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { createRedis, type RedisLink } from '../../src/platform/redis.ts';

export interface CountersInstance {
  readonly counters: RedisCounters;
  readonly link: RedisLink;
  /** Ends as if the process had been killed: nothing is told or renewed any more. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface CountersInstanceOptions
  extends Partial<Omit<RedisCountersDependencies, 'redis' | 'writer'>> {
  /** How long a command may take, milliseconds; absent: long, because this machine may be busy. */
  readonly timeoutMs?: number;
}

/** One instance's counters on a Redis, with a link of their own. */
export async function startCounters(
  url: string,
  writer: string,
  { timeoutMs = 2_000, now, ...options }: CountersInstanceOptions = {},
): Promise<CountersInstance> {
  const log = createLog('silent');
  const link = createRedis({ url, clock: systemClock, log, timeoutMs });
  const localClock = now === undefined ? systemClock : { ...systemClock, now: () => new Date(now()) };
  const counters = createRedisCounters({
    redis: link,
    writer,
    local: createMemoryCounters({ clock: localClock, writer }),
    clock: systemClock,
    log,
    metrics: createMetrics(),
    instances: () => 1,
    policy: { rates: 'open', spend: 'closed' },
    ...options,
    ...(now === undefined ? {} : { now }),
  });
  await link.start();
  await counters.start();
  return {
    counters,
    link,
    async kill() {
      await link.stop();
      await counters.stop();
    },
    async stop() {
      await counters.stop();
      await link.stop();
    },
  };
}
