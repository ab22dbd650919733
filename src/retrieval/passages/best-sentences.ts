import { type Asked, parseQuestion, type QuestionWeights, takenApart, weighQuestion } from './question.ts';
import { type ReadText, readText, type Window, windowsOf } from './windows.ts';

/** A stretch of a text that speaks of the question. `score` is above 0 and comparable within one question. */
export interface SentenceMatch {
  /** UTF-16 offsets into the given text, at the beginning and after the end of whole sentences. */
  readonly start: number;
  readonly end: number;
  readonly score: number;
}

export interface BestSentencesOptions {
  /** How many sentences may be returned in all; default 4. */
  readonly maxSentences?: number;
  /** How many characters all matches may have together; default 600. The first match is kept even when longer. */
  readonly maxCharacters?: number;
}

const DEFAULT_MAX_SENTENCES = 4;
const DEFAULT_MAX_CHARACTERS = 600;
/** Words in the very form of the question, and pairs of its words, beside the stems found (1). */
const WORDS = 0.5;
const PAIRS = 0.2;
/** What each further sentence of a window costs: it must bring something new. */
const PER_FURTHER_SENTENCE = 0.05;

/**
 * The sentences of `text` that say most of what the question asks for, best first: windows of neighbouring
 * sentences that do not overlap. Empty when no sentence shares a content word with the question.
 */
export function bestSentences(
  question: string,
  text: string,
  options: BestSentencesOptions = {},
): SentenceMatch[] {
  const parsed = parseQuestion(question);
  const read = readText(parsed, text);
  const weights = weighQuestion(
    parsed,
    read.sentences.map(({ items }) => items),
  );
  return bestWindows(read, weights, options);
}

function bestWindows(
  text: ReadText,
  weights: QuestionWeights,
  options: BestSentencesOptions,
): SentenceMatch[] {
  let sentencesLeft = options.maxSentences ?? DEFAULT_MAX_SENTENCES;
  let charactersLeft = options.maxCharacters ?? DEFAULT_MAX_CHARACTERS;
  const windows = [
    ...windowsOf(text, weights, { maxSentences: sentencesLeft, maxCharacters: charactersLeft }),
  ]
    .map((window) => ({ ...window, score: scoreOf(window) }))
    .filter(({ stems }) => stems > 0)
    .sort((a, b) => b.score - a.score || a.end - a.start - (b.end - b.start) || a.start - b.start);

  const matches: SentenceMatch[] = [];
  for (const { start, end, sentences, score } of windows) {
    const fits = sentences <= sentencesLeft && (matches.length === 0 || end - start <= charactersLeft);
    if (!fits || matches.some((match) => match.start < end && start < match.end)) continue;
    matches.push({ start, end, score });
    sentencesLeft -= sentences;
    charactersLeft -= end - start;
    if (sentencesLeft <= 0 || charactersLeft <= 0) break;
  }
  return matches;
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
    const [best] = bestWindows(read, weights, {});
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
    if (sentence.start >= extended && sentence.end - start <= DEFAULT_MAX_CHARACTERS) extended = sentence.end;
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
    if (sentence.end - start > DEFAULT_MAX_CHARACTERS) break;
    const announced = /:\.?$/.test(text.slice(start, extended));
    const inRows = isRow(text.slice(sentence.start, sentence.end));
    if (!announced && !inRows) break;
    extended = sentence.end;
  }
  return extended;
}

const isRow = (sentence: string) => sentence.includes(' | ') || /^(?:[-*+•]|\d{1,3}[.)])\s/.test(sentence);
