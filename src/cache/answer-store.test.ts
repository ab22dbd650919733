import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../platform/clock.ts';
import { createMetrics } from '../platform/metrics.ts';
import { createAnswerStore } from './answer-store.ts';
import { keyOf } from './cache-key.ts';
import type { EntryName } from './entry.ts';
import type { Turn } from './turn.ts';

/** A clock that stands until it is told; sleepers wake when their time has come. */
function testClock() {
  let ms = 1_700_000_000_000;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  const clock: Clock = {
    now: () => new Date(ms),
    monotonicMs: () => ms,
    sleep: (for_, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: ms + for_, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
  };
  return {
    clock,
    sleepers,
    pass(by: number) {
      ms += by;
      for (const sleeper of sleepers) if (sleeper.at <= ms) sleeper.wake();
    },
  };
}

function storeOf(options: { fraction?: () => number; staleMs?: number; maxBytes?: number } = {}) {
  const time = testClock();
  const metrics = createMetrics();
  const store = createAnswerStore({
    clock: time.clock,
    // 0: nothing is due before its time.
    random: { fraction: options.fraction ?? (() => 0) },
    metrics,
    ...(options.staleMs === undefined ? {} : { staleMs: options.staleMs }),
    ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
  });
  return { store, metrics, ...time };
}

const name: EntryName = { tenantId: 'tenant-a', kind: 'model', key: keyOf(['question']) };
const answer = (text: string) => ({ body: Buffer.from(text), costNanoUsd: 1_000n });
/** In one process a turn that does not wait is there at once. */
function atOnce(turn: Turn | Promise<Turn>): Turn {
  expect(turn).not.toBeInstanceOf(Promise);
  return turn as Turn;
}
const said = (turn: Turn) => turn.known?.body.toString() ?? null;

describe('a turn', () => {
  it('makes an answer once and gives it until its time is over', async () => {
    const { store, pass } = storeOf();
    const first = atOnce(store.open(name));
    expect(first.known).toBeNull();
    expect(await first.keep(answer('A'))).toBe(true);
    expect(said(atOnce(store.open(name)))).toBe('A');
    pass(3_599_999);
    expect(said(atOnce(store.open(name)))).toBe('A');
    pass(1);
    const late = atOnce(store.open(name));
    expect(late.known).toBeNull();
    expect(late.stale()?.body.toString()).toBe('A');
    late.release();
    late.release();
    expect(await store.usage('tenant-a')).toMatchObject({
      hits: 2,
      misses: 2,
      stale: 1,
      savedNanoUsd: 2_000n,
      entries: 1,
      shared: false,
    });
  });

  it('gives nothing that is too old even to stand in', async () => {
    const { store, pass } = storeOf({ staleMs: 1_000 });
    await atOnce(store.open(name)).keep(answer('A'));
    pass(3_600_000 + 999);
    const failing = atOnce(store.open(name));
    expect(failing.stale()).not.toBeNull();
    pass(1);
    expect(failing.stale()).toBeNull();
    failing.release();
    expect(atOnce(store.open(name)).stale()).toBeNull();
  });

  it('is told a time to live of its own, cut to a day', async () => {
    const { store, pass } = storeOf();
    await atOnce(store.open(name)).keep({ ...answer('A'), ttlMs: 365 * 86_400_000 });
    pass(86_400_000 - 1);
    expect(said(atOnce(store.open(name)))).toBe('A');
    pass(1);
    expect(atOnce(store.open(name)).known).toBeNull();
  });

  it('makes anew what is asked for without reading, and does not make others wait for it', async () => {
    const { store } = storeOf();
    await atOnce(store.open(name)).keep(answer('A'));
    const refreshing = atOnce(store.open(name, { read: false }));
    expect(refreshing.known).toBeNull();
    expect(said(atOnce(store.open(name)))).toBe('A');
    await refreshing.keep(answer('B'));
    expect(said(atOnce(store.open(name)))).toBe('B');
  });

  it('keeps nothing above a mebibyte, and sends those who wait on their own way', async () => {
    const { store } = storeOf();
    const leader = atOnce(store.open(name));
    const followers = [1, 2, 3].map(() => store.open(name));
    expect(await leader.keep({ body: Buffer.alloc(1024 * 1024 + 1) })).toBe(false);
    for (const follower of await Promise.all(followers)) expect(follower.known).toBeNull();
  });
});

describe('equal calls at once', () => {
  it('wait for one that makes the answer', async () => {
    const { store, metrics } = storeOf();
    const leader = atOnce(store.open(name));
    const followers = Array.from({ length: 99 }, () => store.open(name));
    await leader.keep(answer('A'));
    expect((await Promise.all(followers)).map(said)).toEqual(Array(99).fill('A'));
    expect(await store.usage('tenant-a')).toMatchObject({ hits: 99, misses: 1, stampedesPrevented: 99 });
    expect(await metrics.metrics()).toContain('gatehouse_cache_stampedes_prevented_total{kind="model"} 99');
  });

  it('let one of those who wait take over when the first fails', async () => {
    const { store } = storeOf();
    const leader = atOnce(store.open(name));
    const waiting = Array.from({ length: 10 }, () => store.open(name));
    leader.release();
    const second = await Promise.race(waiting);
    expect(second.known).toBeNull();
    await second.keep(answer('B'));
    const all = await Promise.all(waiting);
    expect(all.filter((turn) => turn === second)).toHaveLength(1);
    expect(all.filter((turn) => turn !== second).map(said)).toEqual(Array(9).fill('B'));
  });

  it('stop waiting when they have seen enough of them fail', async () => {
    const { store } = storeOf();
    let leader = atOnce(store.open(name));
    const waiting = new Set(Array.from({ length: 10 }, () => store.open(name)));
    const made: Turn[] = [];
    for (let round = 0; round < 2; round++) {
      leader.release();
      leader = await Promise.race(waiting);
      made.push(leader);
      for (const turn of waiting) if ((await Promise.race([turn, null])) === leader) waiting.delete(turn);
    }
    leader.release();
    for (const turn of await Promise.all(waiting)) expect(turn.known).toBeNull();
    expect(made).toHaveLength(2);
  });

  it('wait for half a minute at most, and no longer than their caller', async () => {
    const { store, pass, sleepers } = storeOf();
    const leader = atOnce(store.open(name));
    let leave = () => {};
    const gone = store.open(name, {
      onCancel: (listener) => {
        leave = listener;
        return () => {};
      },
    });
    leave();
    expect((await gone).known).toBeNull();
    const patient = store.open(name);
    pass(30_000);
    expect((await patient).known).toBeNull();
    expect(sleepers.size).toBe(0);
    leader.release();
  });

  it('get an answer that was made after they asked, whoever fails and whoever leaves, and leave nobody waiting', async () => {
    const event = fc.oneof(
      { weight: 3, arbitrary: fc.constant('open' as const) },
      { weight: 2, arbitrary: fc.constant('keep' as const) },
      { weight: 1, arbitrary: fc.constant('fail' as const) },
      { weight: 1, arbitrary: fc.constant('remove' as const) },
      { weight: 1, arbitrary: fc.constant('expire' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
        const { store, pass, sleepers } = storeOf();
        const making: { turn: Turn; version: number }[] = [];
        // The document's version: what is made holds the version that stood when making it began.
        let version = 0;
        let open = 0;
        const ask = async () => {
          const askedAt = version;
          open++;
          const turn = await store.open(name);
          open--;
          if (turn.known) expect(Number(said(turn))).toBeGreaterThanOrEqual(askedAt);
          else making.push({ turn, version });
        };
        const asked: Promise<void>[] = [];
        for (const what of events) {
          if (what === 'open') asked.push(ask());
          if (what === 'keep') {
            const made = making.shift();
            await made?.turn.keep({ body: Buffer.from(String(made.version)), tags: ['document:1'] });
          }
          if (what === 'fail') making.shift()?.turn.release();
          if (what === 'expire') pass(3_600_000);
          if (what === 'remove') {
            version++;
            await store.removeTagged('tenant-a', ['document:1']);
          }
          await settle();
        }
        while (open > 0 || making.length > 0) {
          making.shift()?.turn.release();
          await settle();
        }
        await Promise.all(asked);
        expect(sleepers.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('an answer before its time is over', () => {
  it('is made anew by one, while the others go on with the old one', async () => {
    let fraction = 0;
    const { store, pass } = storeOf({ fraction: () => fraction });
    const first = atOnce(store.open(name));
    pass(10_000);
    await first.keep(answer('A'));
    pass(3_590_001);
    expect(said(atOnce(store.open(name)))).toBe('A');
    // It took 10 s to make; e^-1 is where XFetch with beta 1 begins to reckon with that much.
    fraction = 1 - Math.exp(-1);
    const early = atOnce(store.open(name));
    expect(early.known).toBeNull();
    expect(said(await store.open(name))).toBe('A');
    expect(early.stale()?.body.toString()).toBe('A');
    await early.keep(answer('B'));
    fraction = 0;
    expect(said(atOnce(store.open(name)))).toBe('B');
  });
});

describe('removal', () => {
  it('reaches what is being made: those who asked afterwards do not get the old answer', async () => {
    const { store } = storeOf();
    const leader = atOnce(store.open(name));
    await store.removeTagged('tenant-a', ['document:1']);
    const after = store.open(name);
    expect(await leader.keep({ ...answer('old'), tags: ['document:1', 'document:2'] })).toBe(false);
    expect((await after).known).toBeNull();
  });

  it('takes one entry, what depends on a document, or all of a tenant', async () => {
    const { store } = storeOf();
    const other = { ...name, key: keyOf(['other']) };
    const elsewhere = { ...name, tenantId: 'tenant-b' };
    const fill = async () => {
      await store.put(name, { ...answer('1'), tags: ['document:1'] });
      await store.put(other, { ...answer('2'), tags: ['document:2'] });
      await store.put(elsewhere, { ...answer('3'), tags: ['document:1'] });
    };
    const there = async () =>
      (
        await Promise.all(
          [name, other, elsewhere].map(({ tenantId, key }) => store.find(tenantId, 'model', [key])),
        )
      )
        .flat()
        .map((entry) => entry?.body.toString() ?? '-')
        .join('');
    await fill();
    expect(await store.removeTagged('tenant-a', ['document:1'])).toEqual({ entries: 1, everywhere: true });
    expect(await there()).toBe('-23');
    await fill();
    expect(await store.removeEntry('tenant-a', other.key)).toEqual({ entries: 1, everywhere: true });
    expect(await there()).toBe('1-3');
    expect(await store.removeTenant('tenant-a')).toEqual({ entries: 1, everywhere: true });
    expect(await there()).toBe('--3');
  });
});

/** Lets everything go on that does not wait for the clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
