import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divide, type Grain, startOf } from './spans.ts';

const at = (time: string) => Date.parse(time);
const moment = fc
  .date({ min: new Date('2025-11-01T00:00:00Z'), max: new Date('2027-02-01T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.getTime());
const edge = fc.oneof(
  moment,
  fc
    .tuple(moment, fc.constantFrom<Grain[]>('quarter', 'hour', 'day', 'month'))
    .map(([ms, grain]) => startOf(ms, grain)),
);
const grainLists = fc.constantFrom<Grain[][]>(
  ['month', 'day', 'quarter'],
  ['month', 'day', 'hour'],
  ['day'],
  [],
);

describe('a span of time', () => {
  it('is divided into months, days and hours, with single rows at the edges only', () => {
    const span = { from: at('2026-01-30T22:40:00Z'), to: at('2026-03-02T01:05:00Z') };
    expect(divide(span, ['month', 'day', 'hour'])).toEqual({
      rolled: [
        { grain: 'hour', from: at('2026-01-30T23:00:00Z'), to: at('2026-01-31T00:00:00Z') },
        { grain: 'day', from: at('2026-01-31T00:00:00Z'), to: at('2026-02-01T00:00:00Z') },
        { grain: 'month', from: at('2026-02-01T00:00:00Z'), to: at('2026-03-01T00:00:00Z') },
        { grain: 'day', from: at('2026-03-01T00:00:00Z'), to: at('2026-03-02T00:00:00Z') },
        { grain: 'hour', from: at('2026-03-02T00:00:00Z'), to: at('2026-03-02T01:00:00Z') },
      ],
      edges: [
        { from: at('2026-01-30T22:40:00Z'), to: at('2026-01-30T23:00:00Z') },
        { from: at('2026-03-02T01:00:00Z'), to: at('2026-03-02T01:05:00Z') },
      ],
    });
  });

  it('is never divided into hours that are no longer kept', () => {
    const span = { from: at('2026-01-01T20:00:00Z'), to: at('2026-01-02T04:00:00Z') };
    expect(divide(span, ['month', 'day', 'hour'], at('2026-01-02T00:00:00Z'))).toEqual({
      rolled: [{ grain: 'hour', from: at('2026-01-02T00:00:00Z'), to: at('2026-01-02T04:00:00Z') }],
      edges: [{ from: at('2026-01-01T20:00:00Z'), to: at('2026-01-02T00:00:00Z') }],
    });
  });

  it('is the sum of its pieces: none overlap, none is missing, each rollup is whole', () => {
    fc.assert(
      fc.property(edge, edge, grainLists, fc.option(moment), (one, other, grains, since) => {
        const span = { from: Math.min(one, other), to: Math.max(one, other) };
        const hoursSince = since === null ? Number.NEGATIVE_INFINITY : startOf(since, 'hour');
        const { rolled, edges } = divide(span, grains, hoursSince);
        const pieces = [...rolled, ...edges].sort((left, right) => left.from - right.from);
        let reached = span.from;
        for (const piece of pieces) {
          expect(piece.from).toBe(reached);
          expect(piece.to).toBeGreaterThan(piece.from);
          reached = piece.to;
        }
        expect(reached).toBe(span.to);
        for (const { grain, from, to } of rolled) {
          expect(startOf(from, grain)).toBe(from);
          expect(startOf(to, grain)).toBe(to);
          if (grain === 'hour') expect(from).toBeGreaterThanOrEqual(hoursSince);
        }
        // At most two pieces a grain, and two more where kept hours begin: queries stay small.
        expect(pieces.length).toBeLessThanOrEqual(2 * grains.length + 3);
      }),
      { numRuns: 500 },
    );
  });
});
