import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateMean } from './bootstrap.ts';
import { hitRecall, isRelevant, ndcg, precision, reciprocalRank, spanRecall } from './metrics.ts';
import { charactersIn, charactersInBoth, type Span, unite } from './spans.ts';

const span = (start: number, end: number): Span => ({ start, end });
const spans = fc.array(
  fc
    .record({ start: fc.nat(30), length: fc.integer({ min: 1, max: 12 }) })
    .map(({ start, length }) => span(start, start + length)),
  { maxLength: 6 },
);
/** The same sets character by character: the plain way to count. */
const characters = (of: readonly Span[]) =>
  new Set(of.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, at) => start + at)));

describe('spans', () => {
  it('agree with counting every character', () => {
    fc.assert(
      fc.property(spans, spans, (a, b) => {
        expect(charactersIn(a)).toBe(characters(a).size);
        expect(charactersInBoth(a, b)).toBe([...characters(a)].filter((at) => characters(b).has(at)).length);
        expect(characters(unite(a))).toEqual(characters(a));
      }),
    );
  });

  it('make one span of those that touch', () => {
    expect(unite([span(5, 7), span(0, 3), span(3, 4), span(6, 9)])).toEqual([span(0, 4), span(5, 9)]);
  });
});

describe('recall', () => {
  it('is the share of the evidence that was found', () => {
    const evidence = [span(0, 10), span(20, 30)];
    expect(spanRecall(evidence, [span(5, 10), span(4, 8), span(29, 40)])).toBe(7 / 20);
    expect(hitRecall(evidence, [span(5, 10), span(29, 40)])).toBe(1 / 2);
    expect(spanRecall(evidence, [])).toBe(0);
    expect(spanRecall(evidence, [span(0, 100)])).toBe(1);
  });

  it('never falls when more is read', () => {
    fc.assert(
      fc.property(spans, spans, spans, (evidence, read, more) => {
        expect(spanRecall(evidence, [...read, ...more])).toBeGreaterThanOrEqual(spanRecall(evidence, read));
        expect(hitRecall(evidence, [...read, ...more])).toBeGreaterThanOrEqual(hitRecall(evidence, read));
      }),
    );
  });
});

describe('ranking', () => {
  it('a passage is relevant when it holds a character of the evidence', () => {
    expect(isRelevant([span(10, 20)], span(19, 30))).toBe(true);
    expect(isRelevant([span(10, 20)], span(20, 30))).toBe(false);
    expect(isRelevant([span(10, 20)], span(0, 10))).toBe(false);
  });

  it('nDCG compares with the best possible ranking', () => {
    expect(ndcg([true, false, true], 2, 10)).toBeCloseTo((1 + 1 / 2) / (1 + 1 / Math.log2(3)), 12);
    expect(ndcg([false, true], 1, 10)).toBeCloseTo(1 / Math.log2(3), 12);
    expect(ndcg([true, true], 5, 2)).toBe(1);
    expect(ndcg([false, false, true], 1, 2)).toBe(0);
    expect(ndcg([], 0, 10)).toBe(0);
  });

  it('nDCG lies between 0 and 1, and is 1 only when nothing relevant stands too low', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 15 }), (relevance) => {
        const relevant = relevance.filter(Boolean).length;
        const value = ndcg(relevance, relevant, 10);
        const best = relevance.toSorted((a, b) => Number(b) - Number(a));
        expect(value).toBeLessThanOrEqual(1 + 1e-12);
        expect(ndcg(best, relevant, 10)).toBe(relevant > 0 ? 1 : 0);
        expect(value === 1).toBe(relevant > 0 && relevance.slice(0, 10).join() === best.slice(0, 10).join());
      }),
    );
  });

  it('the reciprocal rank looks for the first relevant result only', () => {
    expect(reciprocalRank([false, false, true, true], 10)).toBe(1 / 3);
    expect(reciprocalRank([false, false, true], 2)).toBe(0);
  });

  it('precision is undefined without citations', () => {
    expect(precision([true, false, false, true])).toBe(0.5);
    expect(precision([])).toBeUndefined();
  });
});

describe('estimateMean', () => {
  it('gives the mean inside its interval, the same each time', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.nat(),
        (values, seed) => {
          const estimate = estimateMean(values, seed);
          expect(estimate).toEqual(estimateMean(values, seed));
          expect(estimate.low).toBeLessThanOrEqual(estimate.high);
          expect(estimate.low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
          expect(estimate.high).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is about as wide as the normal approximation says', () => {
    const values = Array.from({ length: 400 }, (_, index) => index % 2);
    const { mean, low, high } = estimateMean(values, 7);
    expect(mean).toBe(0.5);
    // Standard error sqrt(0.25 / 400) = 0.025, so 1.96 of it to either side.
    expect(low).toBeGreaterThan(0.43);
    expect(low).toBeLessThan(0.47);
    expect(high).toBeGreaterThan(0.53);
    expect(high).toBeLessThan(0.57);
  });

  it('has nothing to say about nothing', () => {
    expect(estimateMean([], 1)).toEqual({ mean: 0, low: 0, high: 0 });
  });
});
