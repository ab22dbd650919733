import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRetryBudget } from './retry-budget.ts';

function budgetOfTest(least: number) {
  let ms = 0;
  const budget = createRetryBudget({ share: 0.2, least, windowMs: 600_000 }, { monotonicMs: () => ms });
  return {
    budget,
    pass: (more: number) => {
      ms += more;
    },
    now: () => ms,
  };
}

describe('the retry budget', () => {
  it('is a fifth of the calls and a few besides, for each tenant', () => {
    const { budget } = budgetOfTest(2);
    for (let n = 0; n < 14; n++) budget.called('a');
    expect(budget.room('a')).toBe(4);
    expect([1, 2, 3, 4, 5].map(() => budget.take('a'))).toEqual([true, true, true, true, false]);
    expect(budget.room('a')).toBe(0);
    expect(budget.take('b')).toBe(true);
  });

  it('comes back as time passes, and with calls', () => {
    const { budget, pass } = budgetOfTest(1);
    expect(budget.take('a')).toBe(true);
    expect(budget.take('a')).toBe(false);
    for (let n = 0; n < 5; n++) budget.called('a');
    expect(budget.take('a')).toBe(true);
    pass(600_000);
    expect(budget.room('a')).toBe(1);
  });

  it('is never exceeded over any window, whatever is asked for when', () => {
    const step = fc.record({ afterMs: fc.integer({ min: 0, max: 200_000 }), retry: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 0, max: 5 }), (steps, least) => {
        const { budget, pass, now } = budgetOfTest(least);
        const slotOf = (ms: number) => Math.floor(ms / 60_000);
        const calls: number[] = [];
        const retries: number[] = [];
        for (const { afterMs, retry } of steps) {
          pass(afterMs);
          if (retry) {
            if (budget.take('a')) retries.push(now());
          } else {
            budget.called('a');
            calls.push(now());
          }
          const within = (times: number[]) => times.filter((ms) => slotOf(now()) - slotOf(ms) < 10).length;
          expect(budget.room('a')).toBe(
            Math.max(0, Math.floor(least + 0.2 * within(calls)) - within(retries)),
          );
        }
      }),
    );
  });
});
