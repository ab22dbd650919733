import { fuseRankings } from './index/fusion.ts';
import type { Asked } from './passages/question.ts';
import { rankPassages } from './passages/rank-passages.ts';

export type SearchMode = 'lexical' | 'vector' | 'hybrid';

/** What ranking needs to know of a passage. */
export interface FoundPassage {
  readonly chunkId: string;
  readonly title: string;
  readonly heading: string;
  readonly text: string;
}

/** The passages that a caller may read among those that the index proposed. */
export interface FoundByMode<P extends FoundPassage> {
  /** Proposed for their words. */
  readonly lexical: readonly P[];
  /** Proposed for their meaning, with the cosine of the angle to the question, −1 to 1. */
  readonly vector: readonly (P & { readonly similarity: number })[];
}

export type Ranked<P> = P & { readonly score: number };

/** Places in the fused ranking count as 1 / (60 + place): the best possible is first in both. */
const bestFused = 2 / 61;

/**
 * Puts what was found in order, best first, with a score from 0 to 1. It is made of the question and of these
 * passages alone, so that nothing which the caller may not read shows in it. This is the ranking that search, answers
 * and the evaluator share.
 */
export function rankFound<P extends FoundPassage>(
  mode: SearchMode,
  question: Asked,
  found: FoundByMode<P>,
): Ranked<P>[] {
  if (mode === 'lexical') return rankPassages(question, found.lexical);
  const byMeaning = found.vector
    .map(
      ({ similarity, ...passage }) =>
        ({ ...passage, score: Math.max(0, similarity) }) as unknown as Ranked<P>,
    )
    .sort((a, b) => b.score - a.score || (a.chunkId < b.chunkId ? -1 : 1));
  if (mode === 'vector') return byMeaning;
  const byWords = rankPassages(question, found.lexical);
  const known = new Map([...byMeaning, ...byWords].map((passage) => [passage.chunkId, passage]));
  return fuseRankings(
    [byWords, byMeaning].map((ranking) => ({ ids: ranking.map(({ chunkId }) => chunkId) })),
  ).flatMap(({ id, score }) => {
    const passage = known.get(id);
    return passage ? [{ ...passage, score: score / bestFused }] : [];
  });
}
