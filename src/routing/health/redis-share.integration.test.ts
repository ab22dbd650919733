import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../../test/harness/redis.ts';
import { systemClock } from '../../platform/clock.ts';
import { createLog } from '../../platform/log.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { systemRandom } from '../../platform/random.ts';
import { createRedis, type RedisLink } from '../../platform/redis.ts';
import type { Provider, Target } from '../resolution.ts';
import { createRedisHealthShare } from './redis-share.ts';
import { createTargetHealth, type TargetHealth } from './target-health.ts';
import { Visit } from './visit.ts';

const log = createLog('silent');
const provider: Provider = {
  id: 'provider-1',
  tenantId: null,
  name: 'p',
  kind: 'openai',
  baseUrl: 'http://127.0.0.1:1/v1',
  keys: [{ value: 'sk-test', hint: null, weight: 1 }],
  keyProblem: null,
  settings: {},
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
};
const target: Target = { tier: 'primary', provider, model: 'm', weight: 1 };

function failFiveTimes(health: TargetHealth): void {
  for (let n = 0; n < 5; n++) {
    const visit = health.enter(target, []);
    if (visit instanceof Visit) visit.end({ kind: 'failed', reason: 'answered 503' });
  }
}

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'two instances with one Redis' : redisMissing, () => {
  let redis: TestRedis;
  const links: RedisLink[] = [];
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => {
    for (const link of links) await link.stop();
    await redis.stop();
  });

  async function instance(instanceId: string): Promise<TargetHealth> {
    const link = createRedis({ url: redis.url, clock: systemClock, log, timeoutMs: 2_000 });
    links.push(link);
    const hearing = new Promise<void>((resolve) => {
      link.subscribe(
        'gatehouse:test-hears',
        () => {},
        (hears) => hears && resolve(),
      );
    });
    const health = createTargetHealth({
      clock: systemClock,
      random: systemRandom,
      log,
      metrics: createMetrics(),
      share: createRedisHealthShare({ redis: link, instanceId, log }),
    });
    await link.start();
    await hearing;
    return health;
  }

  it('keep away together from what one of them found to fail', async () => {
    const one = await instance('one');
    const other = await instance('other');
    expect(other.admits(target)).toBe(true);
    failFiveTimes(one);
    await expect.poll(() => other.admits(target)).toBe(false);
    expect(other.waitMs(target)).toBeGreaterThan(55_000);
  });

  it('go on by themselves while it is away', async () => {
    const one = await instance('third');
    await redis.kill();
    failFiveTimes(one);
    expect(one.admits(target)).toBe(false);
  });
});
