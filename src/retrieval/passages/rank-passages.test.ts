import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankPassages } from './rank-passages.ts';

const passage = (text: string, score = 1, heading = '', title = '') => ({ text, title, heading, score });

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
    const under = passage('It is kept for thirty days.', 1, 'Audit log > Retention');
    const elsewhere = passage('It is kept for thirty days.', 1, 'Uploads > Size');
    const [first] = rankPassages('What is the retention of the audit log?', [elsewhere, under]);
    expect(first?.heading).toBe(under.heading);
  });

  it('keeps the order of the index where texts tell nothing apart', () => {
    const ranked = rankPassages('anything', [passage('one', 1), passage('two', 3), passage('three', 2)]);
    expect(ranked.map(({ text }) => text)).toEqual(['two', 'three', 'one']);
  });

  it('returns each candidate once, in order, with scores from 0 to 1, whatever the texts', () => {
    const word = fc.constantFrom('limit', 'tenant', 'the', 'what', 'budget', '.', '\n', '👍', '東京');
    const text = fc.array(word, { maxLength: 30 }).map((words) => words.join(' '));
    const candidate = fc.record({
      text,
      title: text,
      heading: text,
      score: fc.double({ min: 0, max: 50, noNaN: true }),
    });
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
