import { expect, test } from 'vitest';
import type { Clock } from '../platform/clock.ts';
import { createSettlements } from './settlements.ts';

/** Time that moves only when told to. */
function drivenClock() {
  let now = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  const clock: Pick<Clock, 'monotonicMs' | 'sleep'> = {
    monotonicMs: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: now + ms, wake: resolve };
        sleepers.add(sleeper);
        const stop = () => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        if (signal?.aborted) stop();
        else signal?.addEventListener('abort', stop, { once: true });
      }),
  };
  return {
    clock,
    sleeping: () => sleepers.size,
    advance(ms: number) {
      now += ms;
      for (const sleeper of sleepers) {
        if (sleeper.at > now) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('wakes at once when the work is settled, and looks again', async () => {
  const { clock, sleeping } = drivenClock();
  const settlements = createSettlements(clock);
  let state: string | null = null;
  const waiting = settlements.waitFor('a', 60_000, async () => state);
  await until(() => sleeping() === 1);
  state = 'done';
  settlements.settled('b');
  settlements.settled('a');
  expect(await waiting).toBe('done');
});

test('finds out within a second what another instance did', async () => {
  const { clock, sleeping, advance } = drivenClock();
  let state: string | null = null;
  const waiting = createSettlements(clock).waitFor('a', 60_000, async () => state);
  await until(() => sleeping() === 1);
  state = 'done';
  advance(1_000);
  expect(await waiting).toBe('done');
});

test('gives up when the time is over', async () => {
  const { clock, sleeping, advance } = drivenClock();
  let looks = 0;
  const waiting = createSettlements(clock).waitFor('a', 1_500, async () => {
    looks += 1;
    return null;
  });
  await until(() => sleeping() === 1);
  advance(1_000);
  await until(() => looks === 2 && sleeping() === 1);
  advance(500);
  expect(await waiting).toBeNull();
  expect(looks).toBe(3);
});

test('hears what is settled while it looks', async () => {
  const { clock } = drivenClock();
  const settlements = createSettlements(clock);
  let state: string | null = null;
  const found = await settlements.waitFor('a', 60_000, async () => {
    const seen = state;
    if (state === null) {
      state = 'done';
      settlements.settled('a');
    }
    return seen;
  });
  expect(found).toBe('done');
});
