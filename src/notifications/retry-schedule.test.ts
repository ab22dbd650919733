import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { giveUpAfterMs, maxTries, nextTryInMs, retryAfterMs } from './retry-schedule.ts';

const second = 1_000;
const fractions = fc.float({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the wait before the next try', () => {
  it('is drawn below a bound that grows from 5 seconds to 6 hours', () => {
    const bounds = [5, 30, 120, 600, 3_600, 10_800, 21_600, 21_600];
    bounds.forEach((bound, index) => {
      expect(nextTryInMs(index + 1, 0, null, () => 0.5)).toBe((bound * second) / 2);
      expect(nextTryInMs(index + 1, 0, null, () => 0)).toBe(second);
    });
  });

  it('is never sooner than was asked for, and never past the day', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: maxTries - 1 }),
        fc.integer({ min: 0, max: giveUpAfterMs - 1 }),
        fc.option(fc.integer({ min: 0, max: giveUpAfterMs })),
        fractions,
        (tries, aged, asked, chance) => {
          const wait = nextTryInMs(tries, aged, asked, () => chance) ?? Number.NaN;
          const left = giveUpAfterMs - aged;
          expect(wait).toBeGreaterThan(0);
          expect(wait).toBeLessThanOrEqual(left);
          if (asked !== null) expect(wait).toBeGreaterThanOrEqual(Math.min(asked, left));
        },
      ),
    );
  });

  it('ends: a delivery that always fails is tried for a day and no more often than stated', () => {
    fc.assert(
      fc.property(fc.array(fractions, { minLength: maxTries, maxLength: maxTries }), (chances) => {
        let aged = 0;
        let tries = 1;
        for (;;) {
          const wait = nextTryInMs(tries, aged, null, () => chances[tries - 1] ?? 0);
          if (wait === null) break;
          aged += wait;
          tries++;
        }
        expect(tries).toBeLessThanOrEqual(maxTries);
        expect(aged).toBeLessThanOrEqual(giveUpAfterMs);
        expect(tries === maxTries || aged === giveUpAfterMs).toBe(true);
      }),
    );
  });
});

describe('Retry-After', () => {
  const now = new Date('2026-11-21T08:00:00Z');
  it.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['Sat, 21 Nov 2026 08:01:00 GMT', 60_000],
    ['Sat, 21 Nov 2026 07:00:00 GMT', 0],
    ['999999999', giveUpAfterMs],
    ['soon', null],
    ['-5', null],
    ['', null],
    [undefined, null],
  ])('%j is %j ms', (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });
});
