import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOutputSizes, defaultOutputTokens } from './output-sizes.ts';

const call = { tenantId: 't', route: 'fast', model: 'm' };

/** A generator of its own, so that a failing case can be run again. */
function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const shapes: Readonly<Record<string, (fraction: () => number) => number>> = {
  even: (fraction) => 1 + Math.floor(fraction() * 4_000),
  exponential: (fraction) => Math.ceil(-Math.log(1 - fraction()) * 300),
  heavy: (fraction) => Math.min(100_000, Math.ceil(50 / (1 - fraction()) ** 0.8)),
  'two kinds': (fraction) =>
    fraction() < 0.8 ? 20 + Math.floor(fraction() * 30) : 3_000 + Math.floor(fraction() * 500),
  'always the same': () => 200,
};

describe('what is reserved for an answer', () => {
  it.each(Object.entries(shapes))(
    'covers about 95 of 100 answers and no more than it must: %s',
    (_, shape) => {
      fc.assert(
        fc.property(fc.integer({ min: 1 }), (seed) => {
          const fraction = random(seed);
          const sizes = createOutputSizes();
          let covered = 0;
          const rounds = 3_000;
          for (let i = 0; i < rounds; i++) {
            const size = shape(fraction);
            if (sizes.expect(call, null) >= size) covered++;
            sizes.learn(call, size);
          }
          expect(covered / rounds).toBeGreaterThan(0.93);
          const sorted = Array.from({ length: 2_000 }, () => shape(fraction)).sort((a, b) => a - b);
          // Of a sample of 150 its 0.956 quantile may well be the 0.995 quantile of all; an edge is an eighth further.
          expect(sizes.expect(call, null)).toBeLessThanOrEqual(Math.ceil((sorted[1_994] ?? 0) * 1.13));
        }),
        { numRuns: 15 },
      );
    },
  );

  it('is what such calls write, not what they may: 200 tokens, with 100,000 allowed', () => {
    const sizes = createOutputSizes();
    expect(sizes.expect(call, 100_000)).toBe(defaultOutputTokens);
    for (let i = 0; i < 50; i++) sizes.learn(call, 200);
    expect(sizes.expect(call, 100_000)).toBeGreaterThanOrEqual(200);
    expect(sizes.expect(call, 100_000)).toBeLessThanOrEqual(225);
  });

  it('is never more than the caller allows', () => {
    const sizes = createOutputSizes();
    fc.assert(
      fc.property(fc.nat(200_000), fc.nat(2_000_000), (bound, size) => {
        sizes.learn(call, size);
        expect(sizes.expect(call, bound)).toBeLessThanOrEqual(bound);
      }),
    );
  });

  it('follows a model that begins to write more', () => {
    const sizes = createOutputSizes();
    for (let i = 0; i < 500; i++) sizes.learn(call, 100);
    for (let i = 0; i < 150; i++) sizes.learn(call, 900);
    expect(sizes.expect(call, null)).toBeGreaterThanOrEqual(900);
    for (let i = 0; i < 1_000; i++) sizes.learn(call, 100);
    expect(sizes.expect(call, null)).toBeLessThan(130);
  });

  it('is cautious while little is known', () => {
    const sizes = createOutputSizes();
    sizes.learn(call, 5_000);
    expect(sizes.expect(call, null)).toBe(10_000);
    const modest = { ...call, model: 'n' };
    sizes.learn(modest, 10);
    expect(sizes.expect(modest, null)).toBe(defaultOutputTokens);
  });

  it('is learned apart for each tenant, route and model', () => {
    const sizes = createOutputSizes();
    for (let i = 0; i < 50; i++) sizes.learn(call, 10);
    for (const other of [{ tenantId: 'u' }, { route: null }, { model: 'n' }]) {
      expect(sizes.expect({ ...call, ...other }, null)).toBe(defaultOutputTokens);
    }
  });
});
