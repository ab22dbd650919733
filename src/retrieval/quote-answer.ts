import type { DatabaseScope } from '../platform/database/database.ts';
import {
  type AnswerPart,
  type Citation,
  type SourceText,
  type StoredSlices,
  withNumbers,
} from './checked-answer.ts';
import { quotePassages } from './passages/best-sentences.ts';
import type { Asked } from './passages/question.ts';

/** What stands between two quotations. */
const betweenQuotations = '\n\n';

/**
 * The answer that needs no model: the sentences that say most of what was asked, word for word out of the passages,
 * each compared with the stored text under the caller's rights before it passes.
 * @param passages best first, with their scores.
 */
export async function quoteAnswer(
  scope: DatabaseScope,
  question: Asked,
  passages: readonly (SourceText & { readonly score: number })[],
  storedSlices: StoredSlices,
  onPart: (part: AnswerPart) => void | Promise<void> = () => {},
) {
  const quoted = quotePassages(question, passages).flatMap(({ passage, start, end }): Citation[] => {
    const source = passages[passage];
    if (!source) return [];
    const { documentId, title, text } = source;
    return [
      {
        documentId,
        title,
        start: source.start + start,
        end: source.start + end,
        text: text.slice(start, end),
      },
    ];
  });
  const stored = await storedSlices(
    scope,
    quoted.map(({ documentId, start, end }) => ({ documentId, start, end })),
  );
  const present = new Set(stored.map((slice) => `${slice.documentId}:${slice.start}:${slice.text}`));
  const citations = quoted.filter(({ documentId, start, text }) =>
    present.has(`${documentId}:${start}:${text}`),
  );
  const sentences = citations.map(({ text }, place) => ({ text, supported: true, citations: [place] }));
  const texts = sentences.map(({ text, citations: own }) => withNumbers(text, own));
  for (const [place, citation] of citations.entries()) {
    await onPart({ kind: 'citation', place, citation });
    await onPart({
      kind: 'text',
      text: (place === 0 ? '' : betweenQuotations) + (texts[place] ?? ''),
      supported: true,
    });
  }
  return { text: texts.join(betweenQuotations), sentences, citations };
}
