import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuseRankings } from './fusion.ts';

const ids = (found: readonly { id: string }[]) => found.map(({ id }) => id);

describe('fuseRankings', () => {
  it('puts first what several rankings put high', () => {
    expect(ids(fuseRankings([{ ids: ['a', 'b', 'c'] }, { ids: ['b', 'd', 'a'] }]))).toEqual([
      'b',
      'a',
      'd',
      'c',
    ]);
  });

  it('adds 1 / (60 + rank)', () => {
    const [first] = fuseRankings([{ ids: ['a'] }, { ids: ['b', 'a'], weight: 2 }]);
    expect(first).toEqual({ id: 'a', score: 1 / 61 + 2 / 62 });
  });

  it('keeps one ranking as it is, and an id counts once', () => {
    expect(ids(fuseRankings([{ ids: ['a', 'b', 'a', 'c'] }]))).toEqual(['a', 'b', 'c']);
    expect(fuseRankings([])).toEqual([]);
  });

  const rankings = fc.array(
    fc.record({
      ids: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')),
      weight: fc.constantFrom(0.5, 1, 2),
    }),
    { maxLength: 4 },
  );

  it('holds exactly what the rankings hold, in falling order', () => {
    fc.assert(
      fc.property(rankings, (given) => {
        const fused = fuseRankings(given);
        expect(ids(fused).sort()).toEqual([...new Set(given.flatMap((ranking) => ranking.ids))].sort());
        for (const [index, { score }] of fused.entries()) {
          expect(score).toBeLessThanOrEqual(fused[index - 1]?.score ?? score);
        }
      }),
    );
  });

  it('never puts below another what stands above it in every ranking', () => {
    fc.assert(
      fc.property(rankings, (given) => {
        const both = given.filter((ranking) => ranking.ids.includes('a') && ranking.ids.includes('b'));
        fc.pre(
          both.length > 0 && both.every((ranking) => ranking.ids.indexOf('a') < ranking.ids.indexOf('b')),
        );
        const order = ids(fuseRankings(both));
        expect(order.indexOf('a')).toBeLessThan(order.indexOf('b'));
      }),
    );
  });
});
