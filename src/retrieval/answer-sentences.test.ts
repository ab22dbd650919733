import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSentenceReader } from './answer-sentences.ts';

/** All of a whole answer. */
function sentencesOfAnswer(answer: string) {
  const reader = createSentenceReader();
  return [...reader.push(answer), ...reader.end()];
}
const texts = (answer: string) => sentencesOfAnswer(answer).map(({ text, markers }) => [text, ...markers]);

describe('sentences of an answer', () => {
  it('gives each sentence the markers behind or inside it', () => {
    expect(texts('Refunds take 5 days. [2] Ask the desk [1]. Nobody else can[3], sadly! [1][2]')).toEqual([
      ['Refunds take 5 days.', 2],
      ['Ask the desk.', 1],
      ['Nobody else can, sadly!', 3, 1, 2],
    ]);
  });

  it('reads every spelling of a marker that models use', () => {
    expect(
      texts('One is. [1, 3] Two are. [2-4] It was. [^5] So it. [source 6] End is. 【7†terms.md】'),
    ).toEqual([
      ['One is.', 1, 3],
      ['Two are.', 2, 3, 4],
      ['It was.', 5],
      ['So it.', 6],
      ['End is.', 7],
    ]);
  });

  it('leaves alone what only looks like a marker', () => {
    expect(texts('In [1999] it began. See [1](https://example.com/a). Use `rows[1].name` there.')).toEqual([
      ['In [1999] it began.'],
      ['See [1](https://example.com/a).'],
      ['Use `rows[1].name` there.'],
    ]);
  });

  it('does not end a sentence at abbreviations, numbers and enumerators', () => {
    expect(texts('Dr. Smith pays 3.5 % on e.g. bonds. 1. First item')).toEqual([
      ['Dr. Smith pays 3.5 % on e.g. bonds.'],
      ['1. First item'],
    ]);
  });

  it('takes list items, headings and paragraphs as sentences, and wrapped lines as one', () => {
    expect(texts('# Plans\nThere are two\nof them:\n- Basic [1]\n- Pro [2]\n\nNo others exist')).toEqual([
      ['# Plans'],
      ['There are two\nof them:'],
      ['- Basic', 1],
      ['- Pro', 2],
      ['No others exist'],
    ]);
  });

  it('ends sentences of scripts without spaces', () => {
    expect(texts('十四天内送达。[1]运费由客户承担。[2]')).toEqual([
      ['十四天内送达。', 1],
      ['运费由客户承担。', 2],
    ]);
  });

  it('bounds the range of a marker and the length of a sentence', () => {
    expect(sentencesOfAnswer('All. [1-999]')[0]?.markers).toHaveLength(20);
    const long = sentencesOfAnswer('word '.repeat(5_000));
    expect(Math.max(...long.map(({ text }) => text.length))).toBeLessThanOrEqual(2_000);
    expect(long.map(({ text }) => text).join(' ')).toBe('word '.repeat(5_000).trim());
  });

  const part = fc.oneof(
    fc.constantFrom(
      '. ',
      '.',
      ' [1]',
      '[2]',
      '[',
      ']',
      '1',
      '\n',
      '\n\n',
      '- ',
      '# ',
      '`',
      '。',
      'Dr',
      'a',
      ' B',
    ),
    fc.constantFrom(
      '【3†x】',
      '[1-3]',
      '(',
      '😀',
      '𝓪',
      '? "',
      '12. ',
      '\r\n',
      ', ',
      '[source ',
      'word '.repeat(40),
    ),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  );
  const answers = fc.array(part, { maxLength: 40 }).map((parts) => parts.join(''));

  const inPieces = (answer: string, sizeOf: () => number) => {
    const reader = createSentenceReader();
    const sentences = [];
    for (let at = 0; at < answer.length; ) {
      const size = sizeOf();
      sentences.push(...reader.push(answer.slice(at, at + size)));
      at += size;
    }
    return [...sentences, ...reader.end()];
  };

  it('is the same however the text is cut into pieces', () => {
    fc.assert(
      fc.property(answers, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (answer, sizes) => {
        expect(inPieces(answer, () => sizes.next().value)).toEqual(sentencesOfAnswer(answer));
      }),
      { numRuns: 300 },
    );
    for (const long of [
      'word '.repeat(1_200),
      `\`code ${'x. '.repeat(900)}\` end. Next`,
      'x'.repeat(5_000),
    ]) {
      expect(inPieces(long, () => 37)).toEqual(sentencesOfAnswer(long));
    }
  });

  it('loses no letter', () => {
    const letters = (text: string) => text.replace(/[^a-z]/giu, '');
    fc.assert(
      fc.property(answers, (answer) => {
        const kept = sentencesOfAnswer(answer).map(({ text }) => letters(text));
        // Markers removed, only those inside code are left standing; neither brings letters of its own but these.
        const bare = (text: string) => text.replaceAll(/sources?|x/giu, '');
        expect(bare(kept.join(''))).toBe(bare(letters(answer)));
      }),
    );
  });
});
