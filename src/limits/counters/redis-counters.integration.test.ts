import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../../test/harness/redis.ts';
import {
  type CountersInstance,
  type CountersInstanceOptions,
  startCounters,
} from '../../../test/harness/redis-counters.ts';
import { type Decision, type Demand, leaseMs } from './counters.ts';

const nothing = new Map<string, number>();

let server: TestRedis;
let nowMs = startMs;
let groups = 0;
let ids = 0;
const open: CountersInstance[] = [];

async function instance(writer: string, options: CountersInstanceOptions = {}): Promise<CountersInstance> {
  const started = await startCounters(server.url, writer, { now: () => nowMs, ...options });
  open.push(started);
  return started;
}

const newGroup = () => `group-${++groups}`;
const newId = () => `call-${++ids}`;
const admitted = (decisions: readonly Decision[]) =>
  decisions.filter(({ outcome }) => outcome === 'admitted').length;

function crowd(instances: readonly CountersInstance[], calls: number, group: string, demand: Demand) {
  return Promise.all(
    Array.from({ length: calls }, (_, n) =>
      (instances[n % instances.length] as CountersInstance).counters.admit({
        group,
        id: newId(),
        demands: [demand],
      }),
    ),
  );
}

const remaining = async ({ counters }: CountersInstance, group: string, demand: Demand) =>
  (await counters.peek(group, [demand]))[0]?.remaining;

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'counters on Redis' : redisMissing, () => {
  beforeAll(async () => {
    server = await startRedis();
  });
  afterEach(async () => {
    for (const { stop } of open.splice(0)) await stop();
    nowMs = startMs;
  });
  afterAll(() => server.stop());

  it.each([
    ['a window', perDay(100), 100],
    ['tokens that are held', tokens(1_000, 30), 33],
    ['calls at once', atOnce(10), 10],
    ['a bucket', bucket(40), 40],
  ])('give %s to 200 callers of two instances exactly as often as there is room', async (_, demand, room) => {
    const group = newGroup();
    const both = [await instance('one'), await instance('two')];
    expect(admitted(await crowd(both, 200, group, demand))).toBe(room);
  });

  it('hold money exactly, and count what was spent by each', async () => {
    const group = newGroup();
    const [one, two] = [await instance('one'), await instance('two')];
    const writers = ['one', 'two'];
    const told = { base: 1_000, writers, endsAtMs: startMs + 30 * day };
    const demand = budget(10_000, 90);
    const ask = () => one.counters.admit({ group, id: newId(), demands: [demand] });
    expect(await ask()).toEqual({ outcome: 'unknown', counters: [demand.counter] });
    await one.counters.establish(group, demand.counter, { ...told, own: 400 });
    expect((await ask()).outcome).toBe('unknown');
    await two.counters.establish(group, demand.counter, { ...told, own: 0 });
    // 10,000 less 1,400 spent is 95 times 90, and 50.
    expect(admitted(await crowd([one, two], 200, group, demand))).toBe(95);
    expect(await remaining(one, group, demand)).toBe(50);
    two.counters.settle(group, 'a-row', new Map([[demand.counter, 30]]));
    two.counters.settle(group, 'a-row', new Map([[demand.counter, 30]]));
    expect(await remaining(two, group, demand)).toBe(20);
    // Told again as it was, nothing changes.
    await two.counters.establish(group, demand.counter, { ...told, own: 0 });
    expect(await remaining(one, group, demand)).toBe(20);
  });

  it('ask the others for what they spent when a budget waits for it', async () => {
    const group = newGroup();
    const [one, two] = [await instance('one'), await instance('two')];
    const counter = 'budget:b:1';
    const own = { base: 0, writers: ['one', 'two'], endsAtMs: startMs + day };
    two.counters.onWanted((name, counters) => {
      for (const wanted of counters) void two.counters.establish(name, wanted, { ...own, own: 7 });
    });
    await one.counters.establish(group, counter, { ...own, own: 0 });
    const ask = async () => {
      const decision = await one.counters.admit({ group, id: newId(), demands: [budget(10, 1)] });
      return decision.outcome === 'admitted' && decision;
    };
    await until(ask);
    expect(await remaining(one, group, budget(10, 1))).toBe(2);
  });

  it('give back what an instance held that was killed, after its lease', async () => {
    const group = newGroup();
    const [one, two] = [await instance('one'), await instance('two')];
    const all = [atOnce(5), tokens(100, 20)];
    for (let n = 0; n < 5; n++) await one.counters.admit({ group, id: newId(), demands: all });
    await one.kill();
    const ask = async () => (await two.counters.admit({ group, id: newId(), demands: all })).outcome;
    nowMs += leaseMs - 1;
    expect(await ask()).toBe('refused');
    nowMs += 1;
    expect(await ask()).toBe('admitted');
    expect(await remaining(two, group, atOnce(5))).toBe(4);
    expect(await remaining(two, group, tokens(100, 20))).toBe(80);
  });

  it('keep what a living instance holds, and hold it again if it was taken for dead', async () => {
    const group = newGroup();
    const one = await instance('one', { renewMs: 5 });
    const two = await instance('two');
    await one.counters.admit({ group, id: 'long-call', demands: [atOnce(1)] });
    for (let leases = 0; leases < 3; leases++) {
      nowMs += leaseMs + 1;
      await two.counters.admit({ group, id: newId(), demands: [perDay(1_000)] });
      await until(async () => (await remaining(two, group, atOnce(1))) === 0);
    }
    one.counters.settle(group, 'long-call', nothing);
    await until(async () => (await remaining(two, group, atOnce(1))) === 1);
  });

  it('keep a dead instance’s money in doubt until its rows are in the ledger', async () => {
    const group = newGroup();
    const [one, two] = [await instance('one'), await instance('two')];
    const told = { base: 0, own: 0, writers: ['one', 'two'], endsAtMs: startMs + 30 * day };
    const demand = budget(100, 30);
    for (const { counters } of [one, two]) await counters.establish(group, demand.counter, told);
    await one.counters.admit({ group, id: newId(), demands: [demand] });
    await one.kill();
    nowMs += leaseMs;
    await two.counters.admit({ group, id: newId(), demands: [perDay(10)] });
    expect(await remaining(two, group, demand)).toBe(70);
    await two.counters.establish(group, demand.counter, { ...told, base: 25, writers: ['two'] });
    await two.counters.forgetDoubt(group, 'one');
    expect(await remaining(two, group, demand)).toBe(75);
  });

  it('count a settlement once, however often and late it comes', async () => {
    const group = newGroup();
    const one = await instance('one');
    await one.counters.admit({ group, id: 'call', demands: [tokens(100, 60), atOnce(3)] });
    const used = new Map([['tokens-per-day', 25]]);
    for (let n = 0; n < 3; n++) one.counters.settle(group, 'call', used);
    expect(await remaining(one, group, tokens(100, 1))).toBe(75);
    one.counters.settle(group, 'call', used);
    one.counters.settle(group, 'nobody', used);
    expect(await remaining(one, group, tokens(100, 1))).toBe(75);
    expect(await remaining(one, group, atOnce(3))).toBe(3);
  });

  it('need no more of Redis than the documentation says', async () => {
    const { link } = await instance('one');
    const documented =
      readFileSync('docs/configuration.md', 'utf8').match(/`(~gatehouse:\* &[^`]+)`/)?.[1] ?? '';
    const rules = [...documented.split(' '), '+info', '+time', '>password-of-test', 'on'];
    await link.command('ACL', 'SETUSER', 'gatehouse', ...rules);
    const url = server.url.replace(/:[^@/]+@/, 'gatehouse:password-of-test@');
    const { counters } = await startCounters(url, 'restricted').then((started) => {
      open.push(started);
      return started;
    });
    const endsAtMs = Date.now() + day;
    const group = newGroup();
    await counters.establish(group, 'budget:b:1', { base: 0, own: 0, writers: ['restricted'], endsAtMs });
    const demands = [perDay(9), tokens(9, 1), atOnce(2), bucket(9), budget(9, 1)];
    const decision = await counters.admit({ group, id: 'call', demands });
    counters.settle(group, 'call', nothing);
    expect([decision.outcome, (await counters.peek(group, [atOnce(2)]))[0]?.remaining]).toEqual([
      'admitted',
      2,
    ]);
    expect(counters.shared).toBe(true);
  });

  it('leave nothing in Redis that would stay for ever', async () => {
    const group = newGroup();
    const one = await instance('one', { now: () => Date.now() });
    const endsAtMs = Date.now() + day;
    await one.counters.establish(group, 'budget:b:1', { base: 0, own: 0, writers: ['one'], endsAtMs });
    const demands = [perDay(9), tokens(9, 1), atOnce(2), bucket(9), { ...budget(9, 1), endsAtMs } as Demand];
    await one.counters.admit({ group, id: 'call', demands });
    await one.counters.admit({ group, id: 'another', demands });
    one.counters.settle(group, 'call', new Map([['tokens-per-day', 1]]));
    await one.counters.peek(group, demands);
    const keys = (await one.link.command('KEYS', `gatehouse:l:{${group}}*`)) as Buffer[];
    expect(keys.length).toBeGreaterThan(7);
    for (const key of keys)
      expect([String(key), Number(await one.link.command('PTTL', key)) > 0]).toEqual([String(key), true]);
  });
});

describe.skipIf(!redisIsInstalled)('counters on a cluster', () => {
  it('keep each group in one slot', async () => {
    const cluster = await startRedis(['--cluster-enabled', 'yes']);
    const one = await startCounters(cluster.url, 'one', { now: () => nowMs });
    await one.link.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    await until(async () => String(await one.link.command('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    await until(async () => one.counters.shared);
    const demands = [perDay(5), tokens(9, 1), atOnce(2), bucket(9), budget(9, 1)];
    const told = { base: 0, own: 0, writers: ['one'], endsAtMs: startMs + day };
    for (const group of ['tenant', 'ip:2001:db8::']) {
      await one.counters.establish(group, 'budget:b:1', told);
      expect((await one.counters.admit({ group, id: 'call', demands })).outcome).toBe('admitted');
      const keys = (await one.link.command('KEYS', `gatehouse:l:{${group}}*`)) as Buffer[];
      expect(keys.length).toBeGreaterThan(6);
      const slots = await Promise.all(keys.map((key) => one.link.command('CLUSTER', 'KEYSLOT', key)));
      expect(new Set(slots).size).toBe(1);
    }
    await one.stop();
    await cluster.stop();
  });
});
