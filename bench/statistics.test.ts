import fc from 'fast-check';
import { expect, test } from 'vitest';
import { medianOf, pairedRatio, percentileOf, spreadOf } from './statistics.ts';

const numbers = fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 1, maxLength: 300 });

test('a percentile is the smallest value with that share of the values at or below it', () => {
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 100 }), (values, percent) => {
      const sorted = values.toSorted((left, right) => left - right);
      const found = percentileOf(sorted, percent);
      const needed = (percent / 100) * values.length;
      expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(needed - 1e-9);
      expect(values.filter((value) => value < found).length).toBeLessThan(needed);
    }),
  );
});

test('known values', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  expect(spreadOf(hundred.toReversed())).toEqual({ count: 100, p50: 50, p99: 99, max: 100 });
  expect(medianOf([3, 1, 2])).toBe(2);
  expect(medianOf([4, 1, 3, 2])).toBe(2.5);
  expect(percentileOf([], 50)).toBeNaN();
  expect(medianOf([])).toBeNaN();
});

test('a median lies between its neighbours and does not depend on order', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const median = medianOf(values);
      expect(values.filter((value) => value < median).length).toBeLessThanOrEqual(values.length / 2);
      expect(values.filter((value) => value > median).length).toBeLessThanOrEqual(values.length / 2);
      expect(medianOf(values.toReversed())).toBe(median);
    }),
  );
});

test('a ratio is taken round by round, so a slow round for both does not move it', () => {
  expect(pairedRatio([80, 40, 8], [100, 50, 10])).toBeCloseTo(0.8);
  expect(pairedRatio([80, 1], [100, 0])).toBeCloseTo(0.8);
  expect(pairedRatio([], [])).toBeNaN();
});
