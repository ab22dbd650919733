import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MemorySample, seriesOf, slopeOf } from './memory-watch.ts';

const line = (count: number, mbAt: (requests: number) => number): MemorySample[] =>
  Array.from({ length: count }, (_, n) => ({ seconds: n, requests: n * 1_000, mb: mbAt(n * 1_000) }));

test('the slope of a straight line is its own, whatever it begins at', () => {
  fc.assert(
    fc.property(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 0, max: 500 }), (slope, start) => {
      const samples = line(40, (requests) => start + (slope * requests) / 100_000);
      expect(slopeOf(samples)).toBeCloseTo(slope, 6);
    }),
  );
});

test('growth in the first quarter does not count', () => {
  const samples = line(100, (requests) => Math.min(300, 100 + requests / 100));
  expect(slopeOf(samples)).toBeCloseTo(0, 6);
  expect(slopeOf([])).toBeNaN();
});

test('a series begins with the first sample and ends with the last', () => {
  const samples = line(101, (requests) => requests);
  expect(seriesOf(samples, 4).map(({ requests }) => requests)).toEqual([0, 25_000, 50_000, 75_000, 100_000]);
  expect(seriesOf([], 4)).toEqual([]);
});
