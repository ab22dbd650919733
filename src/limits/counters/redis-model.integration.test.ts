import { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { checkAgainstModel, type EngineFactory } from '../../../test/harness/counters/check-against-model.ts';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../../test/harness/redis.ts';
import { systemClock } from '../../platform/clock.ts';
import { createLog } from '../../platform/log.ts';
import type { RedisLink } from '../../platform/redis.ts';
import { createMemoryCounters } from './memory-counters.ts';
import { createRedisCounters } from './redis-counters.ts';

const log = createLog('silent');
/** Schedules of the full proof; `npm test` plays enough of them to notice a mistake. */
const runs = Number(process.env.COUNTER_SCHEDULES ?? 1_000);

let server: TestRedis;
let redis: Redis;

/** One connection for all processes, with all the time it needs: a slow machine is no outage here. */
const link: RedisLink = {
  connected: true,
  command: (name, ...args) => redis.callBuffer(name, ...args),
  script: (lua) => async (keys, args) => redis.callBuffer('EVAL', lua, keys.length, ...keys, ...args),
  subscribe: () => {},
  onConnected: () => {},
  start: async () => {},
  stop: async () => {},
};

const factory: EngineFactory = (time) => {
  const running: { stop(): Promise<void> }[] = [];
  return {
    async process(writer) {
      const clock = { ...systemClock, now: () => new Date(time.now()) };
      const counters = createRedisCounters({
        redis: link,
        writer,
        local: createMemoryCounters({ clock, writer }),
        clock,
        log,
        metrics: new Registry(),
        instances: () => 1,
        policy: { rates: 'closed', spend: 'closed' },
        now: time.now,
        renewMs: 3_600_000,
      });
      await counters.start();
      running.push(counters);
      return {
        counters,
        renew: counters.renew,
        async settled() {
          // Told in the turn after this one, and before what is asked then.
          await Promise.resolve();
          await link.command('PING');
        },
        kill: () => counters.stop(),
      };
    },
    async close() {
      await link.command('FLUSHALL');
    },
  };
};

describe.skipIf(!redisIsInstalled)(
  redisIsInstalled ? 'counters on Redis and the reference model' : redisMissing,
  () => {
    beforeAll(async () => {
      server = await startRedis();
      redis = new Redis(server.url);
    });
    afterAll(async () => {
      redis.disconnect();
      await server.stop();
    });

    it('decide alike, whatever is asked, settled, killed and set', async () => {
      await checkAgainstModel(factory, { shared: true, runs });
    }, 3_600_000);
  },
);
