import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNeighbours } from './neighbours.ts';

const vectors = fc
  .array(fc.integer({ min: -10, max: 10 }), { minLength: 4, maxLength: 4 })
  .filter((values) => values.some((value) => value !== 0))
  .map((values) => Float32Array.from(values));

describe('questions by meaning', () => {
  it('are found by their cosine, as it is defined, the nearest first', () => {
    fc.assert(
      fc.property(
        fc.array(vectors, { maxLength: 20 }),
        vectors,
        fc.double({ min: -1, max: 1, noNaN: true }),
        (all, asked, threshold) => {
          const neighbours = createNeighbours(1_000_000);
          for (const [n, vector] of all.entries()) neighbours.add('t', 'w', String(n), vector, 10);
          const cosine = (a: Float32Array, b: Float32Array) => {
            const dot = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
            return dot / (Math.hypot(...a) * Math.hypot(...b));
          };
          const found = neighbours.near('t', 'w', asked, threshold, 0);
          for (const [n, { key, similarity }] of found.entries()) {
            expect(similarity).toBeCloseTo(cosine(all[Number(key)] ?? asked, asked), 4);
            expect(similarity).toBeLessThanOrEqual(found[n - 1]?.similarity ?? 2);
          }
          for (const [n, vector] of all.entries()) {
            const similarity = cosine(vector, asked);
            if (Math.abs(similarity - threshold) < 1e-4) continue;
            expect(found.some(({ key }) => key === String(n))).toBe(similarity >= threshold);
          }
        },
      ),
    );
  });

  it('stay within their wall, their tenant and their time', () => {
    const neighbours = createNeighbours(1_000_000);
    const vector = Float32Array.of(1, 2);
    neighbours.add('t', 'w', 'k', vector, 10);
    const keys = (tenantId: string, wall: string, nowMs = 0) =>
      neighbours.near(tenantId, wall, vector, 0.9, nowMs).map(({ key }) => key);
    expect([keys('t', 'w'), keys('t', 'other'), keys('other', 'w')]).toEqual([['k'], [], []]);
    expect(neighbours.near('t', 'w', Float32Array.of(1, 2, 3), 0, 0)).toEqual([]);
    expect(neighbours.near('t', 'w', Float32Array.of(0, 0), -1, 0)).toEqual([]);
    neighbours.add('t', 'w', 'k2', vector, 20);
    expect(keys('t', 'w', 10)).toEqual(['k2']);
    neighbours.forget('t', 'w', 'k2');
    expect(neighbours.bytes).toBe(0);
    neighbours.add('t', 'w', 'k', vector, 10);
    neighbours.add('other', 'w', 'k', vector, 10);
    neighbours.removeTenant('t');
    expect([keys('t', 'w'), keys('other', 'w')]).toEqual([[], ['k']]);
  });

  it('never take more than their bytes, and never more than 512 in a wall', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ wall: fc.nat(5), key: fc.nat(30) }), { maxLength: 300 }), (added) => {
        const neighbours = createNeighbours(5_000);
        for (const { wall, key } of added) {
          neighbours.add('t', `w${wall}`, `k${key}`, new Float32Array(16).fill(key + 1), 10);
          expect(neighbours.bytes).toBeLessThanOrEqual(5_000);
        }
      }),
    );
    const neighbours = createNeighbours(10_000_000);
    for (let n = 0; n < 600; n++) neighbours.add('t', 'w', String(n), Float32Array.of(1, n), 10);
    expect(neighbours.near('t', 'w', Float32Array.of(1, 1), -1, 0)).toHaveLength(512);
  });
});
