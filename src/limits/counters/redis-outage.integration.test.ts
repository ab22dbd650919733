import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/harness/child.ts';
import {
  atOnce,
  bucket,
  budget,
  day,
  perDay,
  startMs,
  tokens,
} from '../../../test/harness/counters/demands.ts';
import {
  redisIsInstalled,
  redisMissing,
  startRedis,
  startSilentServer,
  startSlowWay,
  type TestRedis,
} from '../../../test/harness/redis.ts';
import {
  type CountersInstance,
  type CountersInstanceOptions,
  startCounters,
} from '../../../test/harness/redis-counters.ts';
import { AppError } from '../../platform/errors.ts';
import type { Decision, Demand } from './counters.ts';

const group = 'tenant';

let server: TestRedis;
let nowMs = startMs;
let ids = 0;
const open: CountersInstance[] = [];

const newId = () => `call-${++ids}`;

async function instances(names: readonly string[], options: CountersInstanceOptions = {}) {
  const started = await Promise.all(
    names.map((name) =>
      startCounters(server.url, name, {
        now: () => nowMs,
        instances: () => names.length,
        timeoutMs: 250,
        ...options,
      }),
    ),
  );
  open.push(...started);
  return started;
}

/** Asks one after the other, each instance in turn. @returns how many were admitted. */
async function ask(among: readonly CountersInstance[], calls: number, ...demands: Demand[]): Promise<number> {
  let admitted = 0;
  for (let n = 0; n < calls; n++) {
    const { counters } = among[n % among.length] as CountersInstance;
    const { outcome } = await counters.admit({ group, id: newId(), demands });
    if (outcome === 'admitted') admitted++;
  }
  return admitted;
}

const remaining = async ({ counters }: CountersInstance, demand: Demand) =>
  (await counters.peek(group, [demand]))[0]?.remaining;

const shared = (all: readonly CountersInstance[]) =>
  until(async () => all.every(({ counters }) => counters.shared));
const apart = (all: readonly CountersInstance[]) =>
  until(async () => all.every(({ counters }) => !counters.shared));
/** Until Redis knows what both counted, which happens without anybody asking. */
const known = (one: CountersInstance, demand: Demand, left: number) =>
  until(async () => one.counters.shared && (await remaining(one, demand)) === left);

const codeOf = (error: unknown) => (error instanceof AppError ? error.code : String(error));

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'counters while Redis is away' : redisMissing, () => {
  beforeEach(async () => {
    nowMs = startMs;
    server = await startRedis();
  });
  afterEach(async () => {
    server.thaw();
    for (const { stop } of open.splice(0)) await stop();
    await server.stop();
  });

  it('share what was left, and hand out no fresh quota', async () => {
    const both = await instances(['one', 'two']);
    expect(await ask(both, 60, perDay(100), bucket(80))).toBe(60);
    await server.kill();
    await apart(both);
    // 40 of the window and 20 of the bucket are left.
    expect(await ask(both, 100, bucket(80))).toBe(20);
    expect(await ask(both, 100, perDay(100))).toBe(40);
  });

  it('count together again what each counted alone, once, with a Redis that is empty', async () => {
    const both = await instances(['one', 'two']);
    await ask(both, 30, perDay(100));
    for (let outage = 1; outage <= 3; outage++) {
      await server.kill();
      await apart(both);
      expect(await ask(both, 10, perDay(100))).toBe(10);
      await server.startAgain();
      await shared(both);
      for (const one of both) await known(one, perDay(100), 70 - outage * 10);
    }
    expect(await ask(both, 100, perDay(100))).toBe(40);
  });

  it('find out what became of admissions whose reply was lost', async () => {
    const both = await instances(['one', 'two']);
    const [one] = both as [CountersInstance, CountersInstance];
    await ask(both, 10, perDay(100), atOnce(50), tokens(1_000, 10));
    server.freeze();
    // Some wait in the socket of a server that does not run, and are decided here meanwhile.
    const decided = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (both[n % 2] as CountersInstance).counters.admit({
          group,
          id: `lost-${n}`,
          demands: [perDay(100), atOnce(50), tokens(1_000, 10)],
        }),
      ),
    );
    expect(decided.map(({ outcome }) => outcome)).toEqual(Array(20).fill('admitted'));
    await apart(both);
    expect(await ask(both, 10, perDay(100))).toBe(10);
    server.thaw();
    await shared(both);
    await known(one, perDay(100), 100 - 40);
    await known(one, atOnce(50), 50 - 30);
    await known(one, tokens(1_000, 0), 1_000 - 300);
    for (let n = 0; n < 20; n++)
      (both[n % 2] as CountersInstance).counters.settle(group, `lost-${n}`, new Map([['tokens-per-day', 3]]));
    await known(one, atOnce(50), 50 - 10);
    await known(one, tokens(1_000, 0), 1_000 - 100 - 60);
  });

  it('take back what Redis admitted and nobody here did', async () => {
    const [one] = (await instances(['one'], { policy: { rates: 'closed', spend: 'closed' } })) as [
      CountersInstance,
    ];
    await ask([one], 10, perDay(100), atOnce(50));
    server.freeze();
    await expect(
      one.counters.admit({ group, id: 'lost', demands: [perDay(100), atOnce(50), bucket(5)] }),
    ).rejects.toThrow(AppError);
    await apart([one]);
    server.thaw();
    await known(one, perDay(100), 90);
    await known(one, atOnce(50), 40);
    await known(one, bucket(5), 5);
  });

  it('notice at the next admission that Redis was emptied while it ran', async () => {
    const both = await instances(['one', 'two']);
    await ask(both, 30, perDay(100), atOnce(40));
    const [one, two] = both as [CountersInstance, CountersInstance];
    await one.link.command('FLUSHALL');
    expect(await ask([one], 1, perDay(100))).toBe(1);
    await ask([two], 1, perDay(100));
    for (const each of both) expect(await remaining(each, perDay(100))).toBe(68);
    await known(two, atOnce(40), 10);
    await one.link.command('FLUSHALL');
    expect(await ask(both, 100, perDay(100))).toBe(68);
  });

  it('keep settlements until Redis is back, and what calls used', async () => {
    const both = await instances(['one', 'two']);
    const [one, two] = both as [CountersInstance, CountersInstance];
    for (const { counters } of both) await counters.admit({ group, id: 'a', demands: [perDay(9)] });
    await one.counters.admit({ group, id: 'long', demands: [tokens(100, 40), atOnce(5)] });
    await two.counters.admit({ group, id: 'longer', demands: [tokens(100, 40), atOnce(5)] });
    server.freeze();
    await apart(both);
    one.counters.settle(group, 'long', new Map([['tokens-per-day', 7]]));
    server.thaw();
    await shared(both);
    await known(one, tokens(100, 0), 100 - 40 - 7);
    await known(one, atOnce(5), 4);
    await server.kill();
    await apart(both);
    two.counters.settle(group, 'longer', new Map([['tokens-per-day', 11]]));
    await server.startAgain();
    await shared(both);
    for (const each of both) {
      await known(each, tokens(100, 0), 100 - 7 - 11);
      await known(each, atOnce(5), 5);
    }
  });

  it('refuse what falls under a budget, and know it again only when all have told', async () => {
    const both = await instances(['one', 'two']);
    const [one, two] = both as [CountersInstance, CountersInstance];
    const told = { base: 100, own: 0, writers: ['one', 'two'], endsAtMs: startMs + 30 * day };
    const establish = async () => {
      for (const { counters } of both) await counters.establish(group, 'budget:b:1', told);
    };
    await establish();
    const demand = budget(1_000, 50);
    await one.counters.admit({ group, id: 'held', demands: [demand] });
    await two.counters.admit({ group, id: 'spent', demands: [demand] });
    two.counters.settle(group, 'spent', new Map([['budget:b:1', 45]]));
    await known(one, demand, 1_000 - 100 - 50 - 45);
    await server.kill();
    await apart(both);
    const refused = await one.counters.admit({ group, id: newId(), demands: [demand] }).catch(codeOf);
    expect(refused).toBe('dependency_down');
    await expect(one.counters.establish(group, 'budget:b:1', told)).rejects.toThrow(AppError);
    // What only limits look at goes on.
    expect(await ask(both, 4, perDay(10))).toBe(4);
    two.counters.settle(group, 'row', new Map([['budget:b:1', 5]]));
    await server.startAgain();
    await shared(both);
    // Just after it is back, one may be refused before all was told.
    const decide = () =>
      until(() => one.counters.admit({ group, id: newId(), demands: [demand] }).catch(() => null));
    expect(await decide()).toEqual({ outcome: 'unknown', counters: ['budget:b:1'] });
    await one.counters.establish(group, 'budget:b:1', told);
    // The other told by itself what it has spent.
    await until(async () => (await decide().then(({ outcome }) => outcome)) === 'admitted');
    await known(two, demand, 1_000 - 100 - 50 - 45 - 5 - 50);
  });

  it('go on by themselves beside a server that never answers', async () => {
    const silent = await startSilentServer();
    const one = await startCounters(`redis://:secret-of-test@127.0.0.1:${silent.port}`, 'one', {
      now: () => nowMs,
    });
    expect(one.counters.shared).toBe(false);
    expect(await ask([one], 20, perDay(10), atOnce(50))).toBe(10);
    const refused = await one.counters.admit({ group, id: newId(), demands: [budget(9, 1)] }).catch(codeOf);
    expect(refused).toBe('dependency_down');
    await one.stop();
    await silent.stop();
  });

  it('wait for no Redis that has become slow, until it is quick again', async () => {
    const way = await startSlowWay(server.url);
    const one = await startCounters(way.url, 'one', { now: () => nowMs });
    expect(await ask([one], 5, perDay(20))).toBe(5);
    way.delayMs = 40;
    await apart([one]);
    expect(await ask([one], 30, perDay(20))).toBe(15);
    way.delayMs = 0;
    await known(one, perDay(20), 0);
    await one.stop();
    await way.stop();
  });

  it('let nobody in to what another counted alone, though it is back later', async () => {
    const way = await startSlowWay(server.url);
    const [one] = (await instances(['one'], { instances: () => 2 })) as [CountersInstance];
    const two = await startCounters(way.url, 'two', {
      now: () => nowMs,
      instances: () => 2,
      timeoutMs: 250,
    });
    open.push(two);
    const both = [one, two];
    expect(await ask(both, 60, perDay(100))).toBe(60);
    await server.kill();
    const killedAtMs = performance.now();
    await apart(both);
    expect(await ask(both, 60, perDay(100))).toBe(40);
    // Slower than the other by every answer that it waits for before it can tell.
    way.delayMs = 100;
    await until(async () => performance.now() > killedAtMs + 1_500);
    await server.startAgain();
    let more = 0;
    await until(async () => {
      more += await ask([one], 1, perDay(100));
      return one.counters.shared && two.counters.shared;
    });
    way.delayMs = 0;
    more += await ask(both, 10, perDay(100));
    expect(more).toBe(0);
    await way.stop();
  });

  it('spend on where the policy for budgets is open, within the share of what was left', async () => {
    const both = await instances(['one', 'two'], { policy: { rates: 'open', spend: 'open' } });
    const told = { base: 0, own: 0, writers: ['one', 'two'], endsAtMs: startMs + 30 * day };
    for (const { counters } of both) await counters.establish(group, 'budget:b:1', told);
    expect(await ask(both, 10, budget(1_000, 50))).toBe(10);
    await server.kill();
    await apart(both);
    expect(await ask(both, 30, budget(1_000, 50))).toBe(10);
  });

  it('never admit more than there is, nor count anything twice, however Redis comes and goes', async () => {
    const both = await instances(['one', 'two']);
    const limit = 3_000;
    const money = 100_000;
    const told = { base: 0, own: 0, writers: ['one', 'two'], endsAtMs: startMs + 30 * day };
    const spent = [0, 0];
    let calls = 0;
    let going = true;
    const busy = async (n: number) => {
      const { counters } = both[n % 2] as CountersInstance;
      while (going) {
        await new Promise((resolve) => setImmediate(resolve));
        const id = newId();
        const demands = [perDay(limit), atOnce(100), ...(n % 4 < 2 ? [budget(money, 100)] : [])];
        const decision: Decision | null = await counters.admit({ group, id, demands }).catch(() => null);
        if (decision?.outcome === 'unknown')
          await counters
            .establish(group, 'budget:b:1', { ...told, own: spent[n % 2] as number })
            .catch(() => {});
        if (decision?.outcome !== 'admitted') continue;
        calls++;
        await new Promise((resolve) => setImmediate(resolve));
        const cost = n % 4 < 2 ? 90 : 0;
        spent[n % 2] = (spent[n % 2] as number) + cost;
        counters.settle(group, id, new Map(cost > 0 ? [['budget:b:1', cost]] : []));
      }
    };
    const busyOnes = Array.from({ length: 16 }, (_, n) => busy(n));
    const callsUntil = (more: number) => {
      const from = calls;
      return until(async () => calls >= from + more || calls >= limit);
    };
    for (let flap = 0; flap < 6; flap++) {
      await callsUntil(150);
      if (flap % 2 === 0) {
        await server.kill();
        await apart(both);
        await callsUntil(20);
        await server.startAgain();
      } else {
        server.freeze();
        await apart(both);
        await callsUntil(20);
        server.thaw();
      }
      await shared(both);
    }
    await callsUntil(200);
    going = false;
    await Promise.all(busyOnes);
    expect(calls).toBeLessThanOrEqual(limit * 1.1);
    expect((spent[0] as number) + (spent[1] as number)).toBeLessThanOrEqual(money);
    const [one] = both as [CountersInstance, CountersInstance];
    await known(one, atOnce(100), 100);
    // Where Redis lost its memory, calls whose reply was lost may be counted twice, and none not at all.
    const counted = limit - ((await remaining(one, perDay(limit))) as number);
    expect(counted).toBeGreaterThanOrEqual(Math.min(limit, calls));
    expect(counted).toBeLessThanOrEqual(calls + 3 * 16);
  });
});
