import { parseQuestion, shareFound, together, weighQuestion } from './question.ts';
import { readText, type Window, windowsOf } from './windows.ts';

/** A passage that the index proposed, with its text from the database. */
export interface CandidatePassage {
  readonly text: string;
  readonly title: string;
  readonly heading: string;
  /** What the index scored it: any scale from 0 up, the same for all candidates of one question. */
  readonly score: number;
}

/**
 * How much each reading of a passage counts beside the score of the index (1). Round figures from a search on one
 * half of 236 questions over five public texts and checked on the other: together they raise nDCG@10 from 0.84 to
 * 0.88 and recall@5 by span from 0.95 to 0.97.
 */
const WORDS = 0.5;
const PAIRS = 0.2;
const BEST_SENTENCE = 0.25;
const BEST_THREE_SENTENCES = 0.25;
const ALL = 1 + WORDS + PAIRS + BEST_SENTENCE + BEST_THREE_SENTENCES;

/**
 * Puts the candidates of one question in order, best first, with a score from 0 to 1.
 *
 * The index scores passages as bags of stems. Here the same words count again when they stand in the very form of
 * the question, side by side, and close together in one sentence or three. Meant for up to about 50 candidates:
 * takes about 0.1 ms for each.
 */
export function rankPassages<Passage extends CandidatePassage>(
  question: string,
  candidates: readonly Passage[],
): (Passage & { readonly score: number })[] {
  const parsed = parseQuestion(question);
  const read = candidates.map(({ title, heading, text }) => {
    const context = parsed.find(`${title}\n${heading}`);
    const body = readText(parsed, text);
    return { context, body, items: together([context, body.items]) };
  });
  const weights = weighQuestion(
    parsed,
    read.map(({ items }) => items),
  );
  const highest = Math.max(...candidates.map(({ score }) => score), Number.MIN_VALUE);

  const ranked = candidates.map((passage, index) => {
    let agreement = passage.score / highest;
    const found = read[index];
    if (found) {
      agreement += WORDS * shareFound(weights.words, found.items.words);
      agreement += PAIRS * shareFound(weights.pairs, found.items.pairs);
      agreement += closeness(windowsOf(found.body, weights, WINDOW, found.context));
    }
    return { ...passage, score: agreement / ALL };
  });
  return ranked.sort((a, b) => b.score - a.score);
}

const WINDOW = { maxSentences: 3, maxCharacters: Number.POSITIVE_INFINITY };

/** How much of the question stands close together, in the best sentence and in the best three. */
function closeness(windows: Iterable<Window>): number {
  let inOne = 0;
  let inThree = 0;
  for (const { sentences, stems } of windows) {
    if (sentences === 1) inOne = Math.max(inOne, stems);
    inThree = Math.max(inThree, stems);
  }
  return BEST_SENTENCE * inOne + BEST_THREE_SENTENCES * inThree;
}
