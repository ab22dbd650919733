import { describe, expect, it } from 'vitest';
import { pairKinds, questionPairs } from './semantic-pairs.ts';

describe('the labelled question pairs', () => {
  it('are enough, of every kind, and each there once', () => {
    expect(questionPairs.length).toBeGreaterThanOrEqual(120);
    expect(questionPairs.filter(({ same }) => same).length).toBeGreaterThanOrEqual(50);
    for (const kind of pairKinds) {
      const pairs = questionPairs.filter((pair) => pair.kind === kind);
      expect({ kind, enough: pairs.length >= 6 }).toEqual({ kind, enough: true });
      expect(new Set(pairs.map(({ same }) => same)).size).toBe(1);
    }
    const written = questionPairs.map(({ a, b }) => [a, b].sort().join(' | '));
    expect(new Set(written).size).toBe(written.length);
    for (const { a, b } of questionPairs) expect(a).not.toBe(b);
  });
});
