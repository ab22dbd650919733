import {
  type FoundItems,
  KINDS,
  nothingFound,
  type Question,
  type QuestionItems,
  type QuestionWeights,
  together,
} from './question.ts';
import { sentencesOf } from './sentences.ts';

/** A text cut into sentences once, with what each has of the question. */
export interface ReadText {
  readonly sentences: readonly ReadSentence[];
  /** What the whole text has. */
  readonly items: FoundItems;
}

interface ReadSentence {
  readonly start: number;
  readonly end: number;
  readonly items: FoundItems;
  /** It is the question: what comes after it may answer, it does not. */
  readonly isQuestion: boolean;
}

/** A passage is some 20 sentences; of a text made of crumbs only this many are looked at. */
const MAX_SENTENCES_READ = 400;

/** What was read for a question, by text: ranking, coverage and quotations read the same passages. */
const known = new WeakMap<Question, Map<string, ReadText>>();

/** Cuts `text` into sentences and looks for the question in each; once for a question and text. */
export function readText(question: Question, text: string): ReadText {
  const ofQuestion = known.get(question) ?? new Map<string, ReadText>();
  known.set(question, ofQuestion);
  const read = ofQuestion.get(text) ?? lookThrough(question, text);
  ofQuestion.set(text, read);
  return read;
}

function lookThrough(question: Question, text: string): ReadText {
  const spans = sentencesOf(text).slice(0, MAX_SENTENCES_READ);
  const found = question.findEach(text, spans);
  const sentences = spans.map(({ start, end }, index): ReadSentence => {
    const asked = question.askedIn(text.slice(start, end));
    // An example that puts the question has all of its words and answers nothing.
    const items = asked === 'mentioned' ? nothingFound : (found[index] ?? nothingFound);
    return { start, end, items, isQuestion: asked === 'itself' };
  });
  return { sentences, items: together(sentences.map(({ items }) => items)) };
}

/** Up to a few sentences in a row, and how much of the question they have. */
export interface Window {
  readonly start: number;
  readonly end: number;
  readonly sentences: number;
  /** Share of the weight of the question's stems, words and pairs found in the window, each 0 to 1. */
  readonly stems: number;
  readonly words: number;
  readonly pairs: number;
}

export interface WindowLimits {
  readonly maxSentences: number;
  /** A single sentence may be longer. */
  readonly maxCharacters: number;
}

/**
 * Every run of 1 to `maxSentences` sentences within `maxCharacters`. `context` is what a reader knows before the
 * first sentence, such as the heading: it counts as found.
 */
export function* windowsOf(
  { sentences }: ReadText,
  weights: QuestionWeights,
  limits: WindowLimits,
  context?: QuestionItems,
): Generator<Window> {
  for (let first = 0; first < sentences.length; first++) {
    const found = createTally(weights);
    if (context) found.add(context);
    const start = sentences[first]?.start ?? 0;
    for (let count = 1; count <= limits.maxSentences; count++) {
      const last = sentences[first + count - 1];
      if (!last || (count > 1 && last.end - start > limits.maxCharacters)) break;
      found.add(last.items);
      if (last.isQuestion) continue;
      yield { start, end: last.end, sentences: count, ...found.shares() };
    }
  }
}

/** Adds up the weight of the question's items as sentences join the window, each item once. */
function createTally(weights: QuestionWeights) {
  const seen = { stems: new Set<string>(), words: new Set<string>(), pairs: new Set<string>() };
  const weight = { stems: 0, words: 0, pairs: 0 };
  const share = (kind: (typeof KINDS)[number]) =>
    weights[kind].total === 0 ? 0 : weight[kind] / weights[kind].total;
  return {
    add(items: QuestionItems): void {
      for (const kind of KINDS) {
        for (const item of items[kind]) {
          if (seen[kind].has(item)) continue;
          seen[kind].add(item);
          weight[kind] += weights[kind].of.get(item) ?? 0;
        }
      }
    },
    shares: () => ({ stems: share('stems'), words: share('words'), pairs: share('pairs') }),
  };
}
