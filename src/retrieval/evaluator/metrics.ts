import { charactersIn, charactersInBoth, type Span } from './spans.ts';

/** An evidence span counts as found when at least this share of its characters was returned. */
const FOUND_SHARE = 0.5;

/**
 * Share of the evidence's characters that lie in at least one passage, 0 to 1: the union of the evidence is
 * the whole, so neither repeated evidence nor overlapping passages count twice. (Token-level "recall" of
 * Smith & Troynikov, Evaluating Chunking Strategies for Retrieval, 2024, in characters.)
 */
export function spanRecall(evidence: readonly Span[], passages: readonly Span[]): number {
  return ratio(charactersInBoth(evidence, passages), charactersIn(evidence));
}

/** Share of the evidence spans of which at least half the characters lie in the passages, 0 to 1. */
export function hitRecall(evidence: readonly Span[], passages: readonly Span[]): number {
  const found = evidence.filter((span) => spanRecall([span], passages) >= FOUND_SHARE);
  return ratio(found.length, evidence.length);
}

/** Whether a passage holds any character of the evidence: the binary relevance used below. */
export function isRelevant(evidence: readonly Span[], passage: Span): boolean {
  return evidence.some(({ start, end }) => start < passage.end && passage.start < end);
}

/**
 * Normalised discounted cumulative gain of a ranking with binary relevance, 0 to 1: the sum of
 * 1 / log2(rank + 1) over relevant ranks up to `depth`, divided by that of the best possible ranking, which
 * has `relevantInAll` relevant passages first (Järvelin & Kekäläinen, ACM TOIS 20(4), 2002; with gains of 0 and
 * 1 the linear and the exponential form agree). 0 when nothing is relevant.
 */
export function ndcg(relevance: readonly boolean[], relevantInAll: number, depth: number): number {
  const gain = (rank: number) => 1 / Math.log2(rank + 1);
  let actual = 0;
  let ideal = 0;
  for (let rank = 1; rank <= depth; rank++) {
    if (relevance[rank - 1]) actual += gain(rank);
    if (rank <= relevantInAll) ideal += gain(rank);
  }
  return ratio(actual, ideal);
}

/** 1 / rank of the first relevant result within `depth`, 0 when there is none (Voorhees, TREC-8, 1999). */
export function reciprocalRank(relevance: readonly boolean[], depth: number): number {
  const at = relevance.slice(0, depth).indexOf(true);
  return at === -1 ? 0 : 1 / (at + 1);
}

/**
 * Share of the citations that hold evidence, 0 to 1 (citation precision as in Gao et al., ALCE, EMNLP 2023, with
 * marked characters in the judge's place). An answer with no citation has no precision: undefined.
 */
export function precision(relevance: readonly boolean[]): number | undefined {
  return relevance.length === 0 ? undefined : relevance.filter(Boolean).length / relevance.length;
}

const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
