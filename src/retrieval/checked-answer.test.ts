import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notInSources } from './answer-prompt.ts';
import {
  type AnswerPart,
  type CheckedAnswer,
  createAnswerChecker,
  type SourceText,
} from './checked-answer.ts';

/** Documents as a caller may read them now; what a test removes is gone at the next look. */
function library(texts: Record<string, string>) {
  const readable = new Map(Object.entries(texts));
  const whole = (documentId: string): SourceText => {
    const text = texts[documentId] ?? '';
    return { documentId, title: `Title of ${documentId}`, heading: '', text, start: 0, end: text.length };
  };
  return {
    readable,
    /** A passage that is a part of its document. */
    part: (documentId: string, start: number, end: number): SourceText => ({
      ...whole(documentId),
      text: (texts[documentId] ?? '').slice(start, end),
      start,
      end,
    }),
    whole,
    storedSlices: async (
      _scope: object,
      spans: readonly { documentId: string; start: number; end: number }[],
    ) =>
      spans.flatMap(({ documentId, start, end }) => {
        const text = readable.get(documentId);
        return text === undefined || end > text.length
          ? []
          : [{ documentId, start, end, text: text.slice(start, end) }];
      }),
  };
}

const scope = { tenantId: 'tenant', readerTokens: [] };

async function check(
  books: ReturnType<typeof library>,
  sources: readonly SourceText[],
  answer: string,
  between: (sent: AnswerPart[]) => void = () => {},
): Promise<{ checked: CheckedAnswer; parts: AnswerPart[] }> {
  const parts: AnswerPart[] = [];
  const checker = createAnswerChecker(scope, sources, books.storedSlices, (part) => {
    parts.push(part);
  });
  for (const piece of answer.match(/[\s\S]{1,7}/gu) ?? []) {
    await checker.write(piece);
    between(parts);
  }
  return { checked: await checker.end(), parts };
}

const sentText = (parts: readonly AnswerPart[]) =>
  parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');

const two = library({
  terms: 'Orders can be changed for an hour. Refunds are paid within five working days.',
  staff: 'Holidays are asked for two weeks before. The desk in Lyon closes at noon.',
});
const sources = [two.whole('terms'), two.whole('staff')];

describe('a checked answer', () => {
  it('cites the sentence of the stored text, not the whole passage', async () => {
    const { checked, parts } = await check(
      two,
      sources,
      'Refunds are paid within 5 working days [1]. The Lyon desk closes at noon. [2]',
    );
    expect(checked.text).toBe(
      'Refunds are paid within 5 working days. [1] The Lyon desk closes at noon. [2]',
    );
    expect(checked.citations).toEqual([
      {
        documentId: 'terms',
        title: 'Title of terms',
        start: 35,
        end: 77,
        text: 'Refunds are paid within five working days.',
      },
      expect.objectContaining({ documentId: 'staff', text: 'The desk in Lyon closes at noon.' }),
    ]);
    expect(checked.sentences.map(({ supported, citations }) => [supported, ...citations])).toEqual([
      [true, 0],
      [true, 1],
    ]);
    expect(sentText(parts)).toBe(checked.text);
    expect(parts.map(({ kind }) => kind)).toEqual(['citation', 'text', 'citation', 'text']);
  });

  it('counts offsets from the beginning of the document', async () => {
    const { checked } = await check(
      two,
      [two.part('terms', 35, 77)],
      'Refunds are paid in 5 working days. [1]',
    );
    expect(checked.citations).toMatchObject([{ start: 35, end: 77 }]);
  });

  it('flags what no source bears out, and what only a source that does not exist is cited for', async () => {
    const { checked } = await check(
      two,
      sources,
      'Refunds are paid within five working days. [1] The zeppelin committee agreed in 1897. [1] Pay is monthly. [9]',
    );
    expect(checked.sentences.map(({ supported }) => supported)).toEqual([true, false, false]);
    expect(checked.unknownMarkers).toBe(true);
    expect(checked.text).not.toMatch(/\[[29]\]/);
  });

  it('knows the sentence that declines from an answer', async () => {
    expect((await check(two, sources, notInSources)).checked).toMatchObject({
      declined: true,
      text: '',
      citations: [],
    });
    expect((await check(two, sources, `"${notInSources}" [1]`)).checked).toMatchObject({
      declined: true,
      text: '',
    });
  });

  it('lets nothing pass that rests on a document which was removed before it was sent', async () => {
    const books = library({ a: 'The safe code is 4711. Cats purr loudly.', b: 'Dogs bark at night.' });
    const { checked, parts } = await check(
      books,
      [books.whole('a'), books.whole('b')],
      'Dogs bark at night. [2] The safe code is 4711. [1] So the code to remember is four seven.',
      (sent) => {
        if (sent.length > 0) books.readable.delete('a');
      },
    );
    expect(checked).toMatchObject({ text: 'Dogs bark at night. [1]', withheld: true });
    expect(checked.citations).toMatchObject([{ documentId: 'b' }]);
    expect(sentText(parts)).toBe('Dogs bark at night. [1]');
  });

  it('drops from the whole answer what changed or went after its sentence was sent', async () => {
    const books = library({ a: 'The safe code is 4711.', b: 'Dogs bark at night.' });
    const parts: AnswerPart[] = [];
    const checker = createAnswerChecker(
      scope,
      [books.whole('a'), books.whole('b')],
      books.storedSlices,
      (part) => void parts.push(part),
    );
    await checker.write('The safe code is 4711. [1] Dogs bark at night. [2] Next');
    expect(sentText(parts)).toContain('4711');
    books.readable.set('a', 'The safe code is 0815.');
    const { text, citations, withheld } = await checker.end();
    expect({ text, withheld }).toEqual({ text: 'Dogs bark at night. [1]', withheld: true });
    expect(citations).toMatchObject([{ documentId: 'b' }]);
  });

  it('never sends a citation whose text is not the stored slice, whatever a model writes', async () => {
    const word = fc.constantFrom(
      'pump',
      'Zürich',
      '😀',
      '配送',
      'oil',
      '12',
      '[1]',
      '[7]',
      '<source id="1">',
      '𝒳',
      '\u200b',
    );
    const sentence = fc.array(word, { minLength: 1, maxLength: 8 }).map((words) => `${words.join(' ')}. `);
    const text = fc.array(sentence, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
    const answer = fc.array(fc.oneof(sentence, fc.constantFrom('[1] ', '[2][3] ', '\n\n- ', '【1】')), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(text, text, answer, fc.nat(), async (first, second, pieces, at) => {
        const books = library({ first, second });
        const start = Math.min(at % first.length, first.length - 1);
        fc.pre(first.slice(start).isWellFormed());
        const shown = [books.part('first', start, first.length), books.whole('second')];
        const { checked, parts } = await check(books, shown, pieces.join(''));
        for (const { documentId, start, end, text } of checked.citations) {
          expect(text).toBe((documentId === 'first' ? first : second).slice(start, end));
          expect(text).not.toBe('');
        }
        expect(sentText(parts).trimEnd()).toBe(checked.text);
        for (const { citations, supported } of checked.sentences) {
          if (citations.length > 0) expect(supported).toBe(true);
          for (const place of citations) expect(checked.citations[place]).toBeDefined();
        }
        for (const [, number] of checked.text.matchAll(/\[(\d+)\]/gu)) {
          expect(Number(number)).toBeLessThanOrEqual(checked.citations.length);
        }
      }),
      { numRuns: 300 },
    );
  });
});
