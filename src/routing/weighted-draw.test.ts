import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawInTurn, drawOne } from './weighted-draw.ts';

const anyWeights = fc.array(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 });
const anyFraction = fc.double({ min: 0, max: 1 - Number.EPSILON, noNaN: true });
const weighted = (weights: readonly number[]) => weights.map((weight, at) => ({ weight, at }));

describe('a draw by weight', () => {
  it('always gives one of them, however the fractions add up', () => {
    fc.assert(
      fc.property(anyWeights, anyFraction, (weights, fraction) => {
        const at = drawOne(weighted(weights), () => fraction);
        expect(weights[at]).toBeDefined();
      }),
    );
  });

  it('gives each a stretch of the range as long as its share', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 6 }), (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const drawn = weights.map(() => 0);
        for (let n = 0; n < total; n++) {
          const at = drawOne(weighted(weights), () => (n + 0.5) / total);
          drawn[at] = (drawn[at] ?? 0) + 1;
        }
        expect(drawn).toEqual(weights);
      }),
    );
  });

  it('asks for no chance where there is no choice', () => {
    expect(drawOne(weighted([3]), () => expect.unreachable())).toBe(0);
    expect(drawInTurn(weighted([3]), () => expect.unreachable())).toEqual(weighted([3]));
  });

  it('in turn gives all of them, each once', () => {
    fc.assert(
      fc.property(anyWeights, fc.infiniteStream(anyFraction), (weights, draws) => {
        const order = drawInTurn(weighted(weights), () => draws.next().value);
        expect(order.map(({ at }) => at).sort((a, b) => a - b)).toEqual(weights.map((_, at) => at));
      }),
    );
  });
});
