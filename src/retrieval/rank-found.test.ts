import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { highlightsIn } from './highlights.ts';
import { rankFound } from './rank-found.ts';

const passage = (chunkId: string, text: string) => ({ chunkId, title: '', heading: '', text });

describe('ranking of what was found', () => {
  const lexical = [
    passage('a', 'The pump needs oil.'),
    passage('b', 'Refunds are paid in five days.'),
    passage('c', 'A refund of the pump takes longer.'),
  ];
  const vector = [
    { ...passage('d', 'Money back within a week.'), similarity: 0.9 },
    { ...passage('b', 'Refunds are paid in five days.'), similarity: 0.8 },
    { ...passage('a', 'The pump needs oil.'), similarity: -0.2 },
  ];
  const order = (mode: 'lexical' | 'vector' | 'hybrid') =>
    rankFound(mode, 'When are refunds paid?', { lexical, vector }).map(({ chunkId }) => chunkId);

  it('goes by words, by meaning, or by both', () => {
    expect(order('lexical')[0]).toBe('b');
    expect(order('vector')).toEqual(['d', 'b', 'a']);
    expect(order('hybrid')[0]).toBe('b');
    expect(new Set(order('hybrid'))).toEqual(new Set(['a', 'b', 'c', 'd']));
  });

  it('scores from 0 to 1, best first, and the same for the same passages in any order', () => {
    const text = fc.array(fc.constantFrom('pump', 'oil', 'refund', 'paid', 'the', 'Zürich', '配送'), {
      maxLength: 12,
    });
    const texts = fc.uniqueArray(
      text.map((words) => words.join(' ')),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(texts, fc.constantFrom('lexical', 'vector', 'hybrid'), (all, mode) => {
        const passages = all.map((words, place) => ({
          ...passage(`${place}`, words),
          similarity: 1 - place / 10,
        }));
        const ranked = rankFound(mode, 'refund of the pump', { lexical: passages, vector: passages });
        const turned = rankFound(mode, 'refund of the pump', {
          lexical: passages.toReversed(),
          vector: passages.toReversed(),
        });
        const scores = ranked.map(({ score }) => score);
        for (const score of scores) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1);
        }
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
        if (mode !== 'hybrid') expect(turned.map(({ score }) => score)).toEqual(scores);
      }),
    );
  });
});

describe('highlights', () => {
  it('are the words of the question in every form, as they stand in the text', () => {
    const text = 'Refunding a café 返金: “REFUNDED” cafe\u0301s, resume.';
    const shown = highlightsIn('refund the cafe 返金', text).map(({ start, end }) => text.slice(start, end));
    expect(shown).toEqual(['Refunding', 'café', '返金', 'REFUNDED', 'cafe\u0301s']);
  });

  it('are at most 50 and never split a character', () => {
    expect(highlightsIn('pump', 'pump '.repeat(200))).toHaveLength(50);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (question, text) => {
        for (const { start, end } of highlightsIn(question, text)) {
          expect(end).toBeGreaterThan(start);
          expect(text.slice(start, end).isWellFormed()).toBe(text.isWellFormed());
        }
      }),
    );
  });
});
