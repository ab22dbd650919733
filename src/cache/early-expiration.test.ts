import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDueEarly } from './early-expiration.ts';

describe('early expiration', () => {
  const entry = { expiresAtMs: 10_000, computeMs: 1_000 };

  it('is certain at the end, and never before it where making took no time', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (fraction) => {
        expect(isDueEarly(entry, 10_000, fraction)).toBe(true);
        expect(isDueEarly({ ...entry, computeMs: 0 }, 9_999, fraction)).toBe(false);
      }),
    );
  });

  it('has the chance e^(-time left / time to make), as the paper says', () => {
    // Deterministic: fractions evenly spread stand for the draws.
    const draws = 10_000;
    for (const left of [500, 1_000, 3_000]) {
      let due = 0;
      for (let n = 0; n < draws; n++) if (isDueEarly(entry, entry.expiresAtMs - left, n / draws)) due++;
      expect(due / draws).toBeCloseTo(Math.exp(-left / entry.computeMs), 3);
    }
  });
});
