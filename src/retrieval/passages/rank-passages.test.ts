import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankPassages } from './rank-passages.ts';

const passage = (text: string, heading = '', title = '') => ({ text, title, heading });

describe('rankPassages', () => {
  it('prefers words in the form asked for, side by side, in one sentence', () => {
    const scattered = passage('Tokens are counted. A limit applies. Daily reports are sent to tenants.');
    const together = passage('The daily token limit of a tenant resets at midnight.');
    const reworded = passage('Limited tokenisation, tenanted. Days are long.');
    const ranked = rankPassages('What is the daily token limit of a tenant?', [
      reworded,
      scattered,
      together,
    ]);
    expect(ranked.map(({ text }) => text)).toEqual([together.text, scattered.text, reworded.text]);
  });

  it('lets a heading complete what a sentence says', () => {
    const under = passage('It is kept for thirty days.', 'Audit log > Retention');
    const elsewhere = passage('It is kept for thirty days.', 'Uploads > Size');
    const [first] = rankPassages('What is the retention of the audit log?', [elsewhere, under]);
    expect(first?.heading).toBe(under.heading);
  });

  it('weighs a rare word above a common one, a repeated one a little more, and forgives length', () => {
    const order = (...texts: string[]) =>
      rankPassages(
        'common rare',
        texts.map((text) => passage(text)),
      ).map(({ text }) => text);
    expect(order('common', 'common', 'rare')[0]).toBe('rare');
    expect(order('rare filler filler', 'rare rare filler')[0]).toBe('rare rare filler');
    const long = `rare ${'filler '.repeat(50)}`;
    expect(order(long, 'rare')).toEqual(['rare', long]);
  });

  it('gives the same scores in whatever order the candidates come', () => {
    const words = fc.array(fc.constantFrom('limit', 'tenant', 'budget', 'café', '東京', 'the'), {
      maxLength: 8,
    });
    const texts = fc.uniqueArray(
      words.map((some) => some.join(' ')),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(texts, words, (all, question) => {
        const scores = (given: readonly string[]) =>
          new Map(
            rankPassages(
              question.join(' '),
              given.map((text) => passage(text)),
            ).map(({ text, score }) => [text, score.toFixed(9)]),
          );
        expect(scores(all.toReversed())).toEqual(scores(all));
      }),
    );
  });

  it('returns each candidate once, in order, with scores from 0 to 1, whatever the texts', () => {
    const word = fc.constantFrom('limit', 'tenant', 'the', 'what', 'budget', '.', '\n', '👍', '東京');
    const text = fc.array(word, { maxLength: 30 }).map((words) => words.join(' '));
    const candidate = fc.record({ text, title: text, heading: text });
    fc.assert(
      fc.property(text, fc.array(candidate, { maxLength: 12 }), (question, candidates) => {
        const ranked = rankPassages(question, candidates);
        expect(ranked.map((found) => found.text).sort()).toEqual(
          candidates.map((given) => given.text).sort(),
        );
        for (const [index, { score }] of ranked.entries()) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1 + 1e-9);
          expect(score).toBeLessThanOrEqual(ranked[index - 1]?.score ?? score);
        }
      }),
    );
  });
});
