import { type Asked, type QuestionWeights, takenApart, weighQuestion } from './question.ts';
import { type ReadText, readText, type Window, windowsOf } from './windows.ts';

/** A stretch of a text that speaks of the question. `score` is above 0 and comparable within one question. */
export interface SentenceMatch {
  /** UTF-16 offsets into the given text, at the beginning and after the end of whole sentences. */
  readonly start: number;
  readonly end: number;
  readonly score: number;
}

/** The longest quotation that is made of several sentences. */
const limits = { maxSentences: 4, maxCharacters: 600 } as const;
/** Words in the very form of the question, and pairs of its words, beside the stems found (1). */
const WORDS = 0.5;
const PAIRS = 0.2;
/** What each further sentence of a window costs: it must bring something new. */
const PER_FURTHER_SENTENCE = 0.05;

/** The neighbouring sentences that say most of what is asked; undefined when none shares a content word with the question. */
function bestWindow(text: ReadText, weights: QuestionWeights): SentenceMatch | undefined {
  const [best] = [...windowsOf(text, weights, limits)]
    .map((window) => ({ ...window, score: scoreOf(window) }))
    .filter(({ stems }) => stems > 0)
    .sort((a, b) => b.score - a.score || a.end - a.start - (b.end - b.start) || a.start - b.start);
  return best && { start: best.start, end: best.end, score: best.score };
}

function scoreOf(window: Window): number {
  const found = window.stems + WORDS * window.words + PAIRS * window.pairs;
  return found * (1 - PER_FURTHER_SENTENCE * (window.sentences - 1));
}

/** A quotation from one of several passages. */
export interface Quotation extends SentenceMatch {
  /** Which of the given passages it is from; offsets are into its text. */
  readonly passage: number;
}

const MAX_PASSAGES_QUOTED = 3;
/** A label or a heading alone says nothing; what follows it may. */
const LEAST_WORDS = 5;
/** A quotation must score at least this share of the best one. */
const NEAR_BEST = 0.8;

/**
 * Up to three quotations that answer without a model, best first: the best window of sentences from each of the
 * first three passages, weighed by how well its passage was ranked, without those far behind the best. `passages`
 * must be in rank order with the scores of `rankPassages`; all of them serve to tell common words from telling ones.
 */
export function quotePassages(
  question: Asked,
  passages: readonly { readonly text: string; readonly score: number }[],
): Quotation[] {
  const parsed = takenApart(question);
  const quotable = passages.slice(0, MAX_PASSAGES_QUOTED).map(({ text }) => readText(parsed, text));
  const others = passages.slice(MAX_PASSAGES_QUOTED).map(({ text }) => readText(parsed, text));
  const weights = weighQuestion(
    parsed,
    [...quotable, ...others].map(({ items }) => items),
  );
  const highest = Math.max(passages[0]?.score ?? 0, Number.MIN_VALUE);

  const quotations = quotable.flatMap((read, passage) => {
    const { text, score } = passages[passage] ?? { text: '', score: 0 };
    const best = bestWindow(read, weights);
    if (!best) return [];
    const end = withRowsBelow(text, read, { ...best, end: longEnough(text, read, best) });
    return [
      {
        start: best.start,
        end,
        score: (best.score * score) / highest,
        passage,
        said: text.slice(best.start, end),
      },
    ];
  });
  quotations.sort((a, b) => b.score - a.score);
  const near = quotations.filter(({ score }) => score >= NEAR_BEST * (quotations[0]?.score ?? 0));
  const distinct = near.filter(({ said }, index) => near.findIndex((other) => other.said === said) === index);
  return distinct.map(({ said: _said, ...quotation }) => quotation);
}

/** Where a quotation ends that would otherwise be too short to say anything. */
function longEnough(text: string, { sentences }: ReadText, { start, end }: SentenceMatch): number {
  let extended = end;
  for (const sentence of sentences) {
    if (text.slice(start, extended).trim().split(/\s+/).length >= LEAST_WORDS) break;
    if (sentence.start >= extended && sentence.end - start <= limits.maxCharacters) extended = sentence.end;
  }
  return extended;
}

/**
 * Where a quotation ends that breaks off before its table or list: "as follows:" and a row of headings say nothing
 * without the rows.
 */
function withRowsBelow(text: string, { sentences }: ReadText, { start, end }: SentenceMatch): number {
  let extended = end;
  for (const sentence of sentences) {
    if (sentence.start < extended) continue;
    if (sentence.end - start > limits.maxCharacters) break;
    const announced = /:\.?$/.test(text.slice(start, extended));
    const inRows = isRow(text.slice(sentence.start, sentence.end));
    if (!announced && !inRows) break;
    extended = sentence.end;
  }
  return extended;
}

const isRow = (sentence: string) => sentence.includes(' | ') || /^(?:[-*+•]|\d{1,3}[.)])\s/.test(sentence);
