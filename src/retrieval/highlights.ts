import { contentWords, createStemmer, wordsOf } from './passages/terms.ts';

export interface Highlight {
  readonly start: number;
  readonly end: number;
}

/** More in one passage help nobody to find the place. */
const maxHighlights = 50;
/** A word as it stands in a text, its marks and accents included. */
const writtenWord = /[\p{Alphabetic}\p{N}\p{M}]+/gu;
const unspaced = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/** Where words of the question stand in `text`, in any of their forms: UTF-16 offsets into it, in order, at most 50. */
export function highlightsIn(question: string, text: string): Highlight[] {
  const stem = createStemmer();
  const content = contentWords(question);
  const wanted = new Set((content.length > 0 ? content : wordsOf(question)).map(stem));
  const found: Highlight[] = [];
  for (const { word, start } of writtenWords(text)) {
    if (found.length === maxHighlights) break;
    const [folded] = wordsOf(word);
    if (folded !== undefined && wanted.has(stem(folded))) found.push({ start, end: start + word.length });
  }
  return found;
}

function* writtenWords(text: string): Generator<{ word: string; start: number }> {
  for (const match of text.matchAll(writtenWord)) {
    const [run] = match;
    if (!unspaced.test(run)) {
      yield { word: run, start: match.index };
      continue;
    }
    const segmenter = new Intl.Segmenter('und', { granularity: 'word' });
    for (const { segment, index } of segmenter.segment(run))
      yield { word: segment, start: match.index + index };
  }
}
