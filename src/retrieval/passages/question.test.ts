import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseQuestion } from './question.ts';
import { sentencesOf } from './sentences.ts';

const word = fc.constantFrom(
  ...'budget budgets limit limits of the tenant tenants is spent café naïve STRASSE straße ﬁles ĳ 予算 k\u0301 . ! ? — …'.split(
    ' ',
  ),
);
const text = fc
  .array(fc.tuple(word, fc.constantFrom(' ', ' ', ' ', '. ', '\n', ' - ')), { maxLength: 60 })
  .map((parts) => parts.flat().join(''));

describe('looking for a question in the sentences of a text', () => {
  it('finds in each what it finds in that sentence alone', () => {
    const question = parseQuestion('Which budget limits of the tenant are spent, café or Straße?');
    fc.assert(
      fc.property(text, (given) => {
        const spans = sentencesOf(given);
        const plainly = ({ stems, words, pairs, counts, length }: ReturnType<typeof question.find>) => ({
          stems,
          words,
          pairs,
          counts,
          length,
        });
        expect(question.findEach(given, spans).map(plainly)).toEqual(
          spans.map(({ start, end }) => plainly(question.find(given.slice(start, end)))),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it('finds something', () => {
    const question = parseQuestion('Which budget is spent?');
    const given = 'The budget was set. All budgets are spent now.';
    expect(question.findEach(given, sentencesOf(given)).map(({ stems }) => [...stems])).toEqual([
      ['budget'],
      ['budget', 'spent'],
    ]);
  });
});
