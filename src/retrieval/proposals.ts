import type { IndexCandidate } from './index/search-index.ts';
import { CANDIDATES_RANKED } from './passages/rank-passages.ts';

/** What the index proposed, best first: for its words, and for its meaning. */
export interface Proposed {
  readonly lexical: readonly IndexCandidate[];
  readonly vector: readonly IndexCandidate[];
}

/** Passages that are ranked, if the caller may read that many: as many as the evaluator ranks. */
export const ranked = CANDIDATES_RANKED;

/** The best of what was proposed in two looks at the same index, at most `limit` of each kind. */
export function bestOf(some: Proposed, others: Proposed, limit: number): Proposed {
  const best = (kind: keyof Proposed) =>
    [...some[kind], ...others[kind]]
      .sort((a, b) => b.score - a.score || (a.chunkId < b.chunkId ? -1 : 1))
      .slice(0, limit);
  return { lexical: best('lexical'), vector: best('vector') };
}

/** Whether asking the index for more than `limit` could add to what is ranked. */
export function isEnough(
  found: { readonly lexical: readonly unknown[]; readonly vector: readonly unknown[] },
  proposed: Proposed,
  limit: number,
): boolean {
  const enough = (kind: keyof Proposed) => found[kind].length >= ranked || proposed[kind].length < limit;
  return enough('lexical') && enough('vector');
}
