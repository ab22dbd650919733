import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sentencesOf } from './sentences.ts';

const textsOf = (text: string) => sentencesOf(text).map(({ start, end }) => text.slice(start, end));

describe('sentencesOf', () => {
  it('parts prose at full stops, and reads on where an editor wrapped the line', () => {
    const text =
      'Limits count requests and tokens. Budgets count money, and they\nreset with the calendar. A third one.\n\nNew.';
    expect(textsOf(text)).toEqual([
      'Limits count requests and tokens.',
      'Budgets count money, and they\nreset with the calendar.',
      'A third one.',
      'New.',
    ]);
  });

  it('takes headings, list items and table rows for themselves', () => {
    const lines = [
      '# A heading that is quite long, as headings in reference books sometimes are',
      '- an item that is longer than fifty characters and has no full stop',
      '- another item',
      '| a row | that is longer than fifty characters | without a full stop |',
      '| b | c |',
    ];
    expect(textsOf(lines.join('\n'))).toEqual(lines);
  });

  it('parts a sentence without end at white space', () => {
    const parts = textsOf('word '.repeat(400));
    expect(parts.length).toBeGreaterThan(2);
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(600);
    expect(parts.join(' ')).toBe('word '.repeat(400).trim());
  });

  it('covers all but white space of any text, in order, trimmed, never inside a surrogate pair', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('\n', '\n\n', '. ', '- ', '# ', ' | ', 'x'.repeat(700), '👍'.repeat(310), ' a b '),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const text = pieces.join('').replace(/[\ud800-\udfff]+/g, (run) => (run.isWellFormed() ? run : ''));
        let at = 0;
        let left = '';
        for (const { start, end } of sentencesOf(text)) {
          expect(start).toBeGreaterThanOrEqual(at);
          const sentence = text.slice(start, end);
          expect(sentence).toBe(sentence.trim());
          expect(sentence).not.toBe('');
          expect(sentence.isWellFormed()).toBe(true);
          left += text.slice(at, start);
          at = end;
        }
        expect((left + text.slice(at)).trim()).toBe('');
      }),
    );
  });
});
