import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createHistogram } from './histogram.ts';

describe('the histogram of the hot path', () => {
  it('shows what the library’s own would show', async () => {
    const buckets = [0.01, 0.1, 1];
    const options = { name: 'duration_seconds', help: 'How long', buckets };
    const value = fc.tuple(
      fc.constantFrom('a', 'b'),
      fc.oneof(fc.constantFrom(...buckets, 0), fc.double({ min: 0, max: 9, noNaN: true })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 30 }), async (given) => {
        const ours = new Registry();
        const theirs = new Registry();
        const own = createHistogram(ours, options);
        const library = new Histogram({ ...options, labelNames: ['route'], registers: [theirs] });
        for (const [route, seconds] of given) {
          own.series({ route }).observe(seconds);
          library.observe({ route }, seconds);
        }
        const lines = async (registry: Registry) => (await registry.metrics()).trim().split('\n').sort();
        expect(await lines(ours)).toEqual(await lines(theirs));
      }),
    );
  });
});
