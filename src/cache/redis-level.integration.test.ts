import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../test/harness/child.ts';
import {
  redisIsInstalled,
  redisMissing,
  startRedis,
  startSilentServer,
  type TestRedis,
} from '../../test/harness/redis.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createRedis, type RedisLink } from '../platform/redis.ts';
import { type AnswerStore, createAnswerStore } from './answer-store.ts';
import { keyOf } from './cache-key.ts';
import type { EntryName, NewEntry } from './entry.ts';
import { createRedisLevel } from './redis-level.ts';
import type { Turn } from './turn.ts';

if (!redisIsInstalled) console.error(redisMissing);

interface Instance {
  readonly store: AnswerStore;
  readonly link: RedisLink;
  readonly failures: () => Promise<number>;
  stop(): Promise<void>;
}

let redis: TestRedis;
const open: Instance[] = [];
const newId = createIds(systemClock, systemRandom);
let tenantId = '';
let name: EntryName;

/** A store of its own with its own connections, as another process would have. */
async function instance(
  options: { url?: string; ttlMs?: number; maxBytesPerTenant?: number } = {},
): Promise<Instance> {
  const metrics = createMetrics();
  const log = createLog('silent');
  // A busy machine must not pass for a Redis that is away.
  const link = createRedis({ url: options.url ?? redis.url, clock: systemClock, log, timeoutMs: 2_000 });
  const store = createAnswerStore({
    clock: systemClock,
    // Nothing is due before its time.
    random: { fraction: () => 0 },
    metrics,
    ...(options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }),
    shared: (memory, { redisFailure }) =>
      createRedisLevel({
        redis: link,
        memory,
        clock: systemClock,
        newId,
        log,
        maxBytesPerTenant: options.maxBytesPerTenant ?? 1_000_000,
        onFailure: redisFailure,
      }),
  });
  await link.start();
  store.start();
  const made: Instance = {
    store,
    link,
    failures: async () =>
      Number(/gatehouse_cache_redis_failures_total (\d+)/.exec(await metrics.metrics())?.[1] ?? 0),
    async stop() {
      await store.stop();
      await link.stop();
    },
  };
  open.push(made);
  return made;
}

const answer = (text: string, tags: string[] = []): NewEntry => ({
  body: Buffer.from(text),
  tags,
  costNanoUsd: 7n,
});
const said = (turn: Turn) => turn.known?.body.toString() ?? null;
/** What an instance would answer, without waiting for anybody or leading. */
const peek = async ({ store }: Instance, key = name.key) =>
  (await store.peek(tenantId, key))?.body.toString() ?? null;

/** Lets those who ask find out that Redis is away and that somebody makes the answer: no more than a few turns. */
const bothWait = () => new Promise((resolve) => setImmediate(resolve));

describe.skipIf(!redisIsInstalled)('the cache of two instances', () => {
  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(() => {
    tenantId = newId();
    name = { tenantId, kind: 'model', key: keyOf([tenantId, 'question']) };
  });
  afterEach(async () => {
    redis.thaw();
    for (const part of open.splice(0)) await part.stop();
  });
  afterAll(() => redis?.stop());

  it('gives on one what was made on the other, bytes and facts alike', async () => {
    const [a, b] = [await instance(), await instance()];
    const first = await a.store.open(name);
    const body = Buffer.from([0, 1, 255, 13, 10]);
    expect(await first.keep({ body, facts: '{"ü":1}', costNanoUsd: 12_345_678_901_234_567_890n })).toBe(true);
    const second = await b.store.open(name);
    expect(second.known).toMatchObject({ body, facts: '{"ü":1}', costNanoUsd: 12_345_678_901_234_567_890n });
    expect(await b.store.usage(tenantId)).toMatchObject({ entries: 1, shared: true, hits: 1, misses: 0 });
  });

  it('makes one call of 100 misses on two instances', async () => {
    const [a, b] = [await instance(), await instance()];
    let calls = 0;
    const ask = async ({ store }: Instance) => {
      const turn = await store.open(name);
      if (turn.known) return said(turn);
      calls++;
      // Until the other instance waits, too.
      await until(
        async () => ((await a.link.command('KEYS', `*${tenantId}*:waiters:*`)) as unknown[]).length > 0,
      );
      await turn.keep(answer('A'));
      return 'A';
    };
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n % 2 ? a : b)));
    expect(answers).toEqual(Array(100).fill('A'));
    expect(calls).toBe(1);
    const prevented = await Promise.all([a, b].map(({ store }) => store.usage(tenantId)));
    expect(prevented[0]?.stampedesPrevented).toBeGreaterThan(0);
    expect(prevented[1]?.stampedesPrevented).toBeGreaterThan(0);
  });

  it('lets the other instance take over when the first one fails, or dies', async () => {
    const [a, b] = [await instance(), await instance()];
    const failing = await a.store.open(name);
    const waiting = b.store.open(name);
    failing.release();
    const second = await waiting;
    expect(second.known).toBeNull();
    // Dies: its lead is neither ended nor kept.
    await b.link.stop();
    const third = await a.store.open(name);
    expect(third.known).toBeNull();
    await third.keep(answer('A'));
    expect(await peek(a)).toBe('A');
  });

  it('removes everywhere before a removal returns: one entry, a document’s, a tenant’s', async () => {
    const [a, b] = [await instance(), await instance()];
    const tagged = keyOf([tenantId, 'tagged']);
    const fill = async () => {
      await a.store.put(name, answer('plain'));
      await a.store.put({ ...name, key: tagged }, answer('tagged', ['document:1', 'document:2']));
      expect([await peek(b), await peek(b, tagged)]).toEqual(['plain', 'tagged']);
    };
    await fill();
    expect(await a.store.removeTagged(tenantId, ['document:2'])).toEqual({ entries: 1, everywhere: true });
    expect(await peek(b, tagged)).toBeNull();
    expect(await peek(b)).toBe('plain');

    await fill();
    expect(await a.store.removeEntry(tenantId, name.key)).toEqual({ entries: 1, everywhere: true });
    // B serves a copy of its own, and hears of it by a message.
    await until(async () => (await peek(b)) === null);
    expect(await peek(b, tagged)).toBe('tagged');

    await fill();
    expect(await a.store.removeTenant(tenantId)).toEqual({ entries: 2, everywhere: true });
    await until(async () => (await peek(b)) === null);
    expect(await peek(b, tagged)).toBeNull();
    expect(await b.store.usage(tenantId)).toMatchObject({ entries: 0, bytes: 0 });
    const left = (await a.link.command('KEYS', `gatehouse:{${tenantId}}*`)) as Buffer[];
    expect(left.map(String).filter((key) => key.includes(':entry:'))).toEqual([]);
  });

  it('does not keep what was removed elsewhere while it was made', async () => {
    const [a, b] = [await instance(), await instance()];
    const removals: [string, () => Promise<unknown>][] = [
      ['document', () => b.store.removeTagged(tenantId, ['document:1'])],
      ['entry', () => b.store.removeEntry(tenantId, name.key)],
      ['tenant', () => b.store.removeTenant(tenantId)],
    ];
    for (const [what, remove] of removals) {
      const turn = await a.store.open(name);
      await remove();
      const after = b.store.open(name);
      expect({ what, kept: await turn.keep(answer('old', ['document:1'])) }).toEqual({ what, kept: false });
      const next = await after;
      expect({ what, known: said(next) }).toEqual({ what, known: null });
      expect({ what, kept: await next.keep(answer('new', ['document:1'])) }).toEqual({ what, kept: true });
      expect({ what, known: await peek(a) }).toEqual({ what, known: 'new' });
      await a.store.removeTenant(tenantId);
    }
  });

  it('keeps a tenant within its bytes, the entries whose time ends first making room', async () => {
    const a = await instance({ maxBytesPerTenant: 50_000 });
    for (let n = 0; n < 20; n++) {
      await a.store.put(
        { ...name, key: keyOf([tenantId, String(n)]) },
        { body: Buffer.alloc(10_000), ttlMs: 60_000 + n * 1_000 },
      );
    }
    const { entries, bytes } = await a.store.usage(tenantId);
    expect(entries).toBe(4);
    expect(bytes).toBeLessThanOrEqual(50_000);
    const b = await instance();
    expect(await b.store.peek(tenantId, keyOf([tenantId, '19']))).not.toBeNull();
    expect(await b.store.peek(tenantId, keyOf([tenantId, '0']))).toBeNull();
  });

  it('needs no more rights in Redis than the documentation says', async () => {
    const admin = await instance();
    const documented = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const rules = /`(~gatehouse:\* [^`]+)`,\s+`(\+info)`\s+and\s+`(\+time)`/.exec(documented);
    await admin.link.command(
      'ACL',
      'SETUSER',
      'app',
      'on',
      '>test',
      ...(rules ?? []).slice(1).join(' ').split(' '),
    );
    const [a, b] = (await Promise.all(
      [0, 1].map(() => instance({ url: redis.url.replace(/\/\/[^@]+@/, '//app:test@') })),
    )) as [Instance, Instance];
    const turn = await a.store.open(name);
    const waiting = b.store.open(name);
    await turn.keep(answer('A', ['document:1']));
    expect(said(await waiting)).toBe('A');
    expect(await a.store.removeTagged(tenantId, ['document:1'])).toEqual({ entries: 1, everywhere: true });
    expect(await a.store.removeEntry(tenantId, name.key)).toMatchObject({ everywhere: true });
    expect(await a.store.removeTenant(tenantId)).toMatchObject({ everywhere: true });
    expect(await b.store.usage(tenantId)).toMatchObject({ shared: true });
    expect([await a.failures(), await b.failures()]).toEqual([0, 0]);
    await admin.link.command('ACL', 'DELUSER', 'app');
  });

  it('reads nothing that something else wrote there', async () => {
    const [a, b] = [await instance(), await instance()];
    await a.store.put(name, answer('A'));
    const [key] = ((await a.link.command('KEYS', `gatehouse:{${tenantId}}*:entry:*`)) as Buffer[]).map(
      String,
    );
    for (const value of [
      '',
      'x',
      `0000000000000000${'\x01'.repeat(40)}`,
      `0000000000000000\x01\0\0\0\x02{}`,
    ]) {
      await a.link.command('SET', key ?? '', value);
      expect(await peek(b)).toBeNull();
    }
  });

  it('goes on without Redis and comes back with it; what was flushed meanwhile is not served again', async () => {
    const [a, b] = [await instance(), await instance()];
    await a.store.put(name, answer('old', ['document:1']));
    expect(await peek(b)).toBe('old');
    redis.freeze();
    await until(async () => !a.link.connected && !b.link.connected);
    // Fails open, and still one call for all that ask at once here.
    const leader = await a.store.open(name);
    const followers = [a.store.open(name), a.store.open(name)];
    expect(leader.known).toBeNull();
    await bothWait();
    await leader.keep(answer('made meanwhile'));
    expect((await Promise.all(followers)).map(said)).toEqual(['made meanwhile', 'made meanwhile']);
    expect(await a.failures()).toBeGreaterThan(0);
    expect(await a.store.removeTagged(tenantId, ['document:1'])).toMatchObject({ everywhere: false });
    redis.thaw();
    await until(async () => a.link.connected && (await a.store.usage(tenantId)).shared);
    expect(await peek(a)).toBeNull();
    expect(await peek(b)).toBeNull();
    await a.store.put(name, answer('new', ['document:1']));
    await until(async () => (await peek(b)) === 'new');
  });

  it('is empty after Redis was restarted, and works', async () => {
    const [a, b] = [await instance(), await instance()];
    await a.store.put(name, answer('before'));
    expect(await peek(b)).toBe('before');
    await redis.kill();
    await until(async () => !a.link.connected && !b.link.connected);
    expect(await peek(b)).toBeNull();
    await redis.startAgain();
    await until(async () => (await a.store.usage(tenantId)).shared && (await b.store.usage(tenantId)).shared);
    expect(await peek(b)).toBeNull();
    await a.store.put(name, answer('after'));
    expect(await peek(b)).toBe('after');
  });

  it('works as well as it can beside a Redis that never answers', async () => {
    const silent = await startSilentServer();
    const a = await instance({ url: `redis://127.0.0.1:${silent.port}` });
    const turn = await a.store.open(name);
    expect(turn.known).toBeNull();
    const follower = a.store.open(name);
    await bothWait();
    await turn.keep(answer('A'));
    expect(said(await follower)).toBe('A');
    expect(await a.store.removeTenant(tenantId)).toMatchObject({ everywhere: false });
    expect(await a.store.usage(tenantId)).toMatchObject({ shared: false });
    await a.stop();
    await silent.stop();
  });
});
