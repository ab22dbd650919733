import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkAgainstModel, type DrivenTime } from '../../../test/harness/counters/check-against-model.ts';
import type { Demand } from './counters.ts';
import { createMemoryCounters } from './memory-counters.ts';

const clockOf = (time: DrivenTime) => ({ now: () => new Date(time.now()), monotonicMs: time.monotonicMs });
const hour = 3_600_000;

describe('counters in process', () => {
  it('decide as the reference model does, in 10,000 random schedules with clocks that are set and restarts', async () => {
    await checkAgainstModel(
      (time, world) => ({
        // In the steady world idle counters are forgotten at once, which must change nothing.
        process: (writer) => ({
          counters: createMemoryCounters({
            clock: clockOf(time),
            writer,
            keepIdleMs: world === 'steady' ? 0 : 24 * hour,
          }),
        }),
        close: () => {},
      }),
      { shared: false, runs: 10_000 },
    );
  }, 120_000);

  const limit = 10;
  const second = {
    kind: 'window',
    counter: 's',
    windowMs: 1_000,
    limit,
    amount: 1,
    reserved: false,
  } as const;
  const bucket = { kind: 'rate', counter: 'b', milliPerSecond: 5_000, burst: 4, amount: 1 } as const;
  const places = { kind: 'concurrent', counter: 'c', limit: 3 } as const;
  const tokens = {
    kind: 'window',
    counter: 't',
    windowMs: 60_000,
    limit: 500,
    amount: 40,
    reserved: true,
  } as const;

  it('never let in more than a limit says, whoever comes when', () => {
    const visits = fc.array(fc.record({ waitMs: fc.nat({ max: 400 }), leave: fc.nat({ max: 6 }) }), {
      minLength: 30,
      maxLength: 120,
      size: 'max',
    });
    fc.assert(
      fc.property(visits, (all) => {
        let now = 1_800_000_000_000;
        const counters = createMemoryCounters({
          clock: { now: () => new Date(now), monotonicMs: () => now },
          writer: 'w',
          keepIdleMs: 0,
        });
        const admitted: number[] = [];
        const inside: string[] = [];
        for (const [i, { waitMs, leave }] of all.entries()) {
          now += waitMs;
          const demands = [second, bucket, places, tokens];
          const before = counters.peek('g', demands);
          const decision = counters.admit({ group: 'g', id: `r${i}`, demands });
          if (decision.outcome === 'admitted') {
            admitted.push(now);
            inside.push(`r${i}`);
          } else expect(counters.peek('g', demands)).toEqual(before);
          expect(inside.length).toBeLessThanOrEqual(places.limit);
          const left = leave < 2 ? inside.shift() : undefined;
          if (left !== undefined) counters.settle('g', left, new Map([['t', 40]]));
        }
        for (const [i, at] of admitted.entries()) {
          // A fixed window never holds more than its limit, and a bucket gives its burst and what it grew by.
          const within = admitted.filter((t) => Math.floor(t / 1_000) === Math.floor(at / 1_000));
          expect(within.length).toBeLessThanOrEqual(limit);
          const since = admitted.slice(i);
          for (const [n, later] of since.entries()) {
            expect(n + 1).toBeLessThanOrEqual(bucket.burst + Math.floor(((later - at) * 5) / 1_000) + 1);
          }
        }
        for (const id of inside) counters.settle('g', id, new Map());
        expect(counters.peek('g', [places])).toEqual([{ remaining: places.limit, resetMs: 0 }]);
      }),
      { numRuns: 300 },
    );
  });

  it('stay bounded: idle ones are forgotten a few at a time, and at the cap those go that would be idle first', () => {
    let now = 1_800_000_000_000;
    const clock = { now: () => new Date(now), monotonicMs: () => now };
    const counters = createMemoryCounters({ clock, writer: 'w', atMost: 100, keepIdleMs: 1_000 });
    const come = (n: number, demands: Demand[]) =>
      counters.admit({ group: `ip:${n}`, id: `r${now}-${n}`, demands });
    for (let n = 0; n < 5_000; n++) come(n, [second]);
    expect(counters.size()).toEqual({ counters: 100, groups: 100 });
    now += 3_999;
    for (let n = 0; n < 50; n++) come(-1, [second]);
    expect(counters.size()).toEqual({ counters: 1, groups: 1 });
    // What calls hold is never forgotten, however many come.
    counters.admit({ group: 'held', id: 'call', demands: [places, { ...tokens, amount: 500 }] });
    for (let n = 0; n < 5_000; n++) come(n, [second]);
    now += 3_600_000;
    for (let n = 0; n < 5_000; n++) come(n, [second]);
    expect(counters.peek('held', [places, tokens]).map(({ remaining }) => remaining)).toEqual([2, 0]);
    counters.settle('held', 'call', new Map([['t', 120]]));
    expect(counters.peek('held', [places, tokens]).map(({ remaining }) => remaining)).toEqual([3, 380]);
  });

  it('count what a process spent once, told in whatever order', () => {
    const clock = { now: () => new Date(1_800_000_000_000), monotonicMs: () => 0 };
    const counters = createMemoryCounters({ clock, writer: 'w' });
    const budget = {
      kind: 'budget',
      counter: 'b',
      limit: 100,
      amount: 10,
      endsAtMs: 1_900_000_000_000,
    } as const;
    const tell = (own: number) =>
      counters.establish('g', 'b', { base: 5, own, writers: ['w'], endsAtMs: budget.endsAtMs });
    const left = () => counters.peek('g', [budget])[0]?.remaining;
    expect(counters.admit({ group: 'g', id: '1', demands: [budget] })).toEqual({
      outcome: 'unknown',
      counters: ['b'],
    });
    tell(20);
    tell(15);
    expect(left()).toBe(75);
    counters.admit({ group: 'g', id: '2', demands: [budget] });
    expect(left()).toBe(65);
    for (let i = 0; i < 3; i++) counters.settle('g', '2', new Map([['b', 7]]));
    expect(left()).toBe(68);
    tell(27);
    expect(left()).toBe(68);
    counters.settle('g', 'not held', new Map([['b', 3]]));
    counters.settle('g', 'not held', new Map([['b', 3]]));
    expect(left()).toBe(65);
    counters.establish('g', 'b', { base: 0, own: 0, writers: ['w', 'other'], endsAtMs: budget.endsAtMs });
    expect(counters.admit({ group: 'g', id: '3', demands: [budget] }).outcome).toBe('unknown');
  });
});
