/**
 * How fast a place in a ranking loses worth: 60 is what Cormack, Clarke & Büttcher found to work across
 * collections (Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods, SIGIR 2009).
 */
const RANK_CONSTANT = 60;

/** One ranking to fuse: ids from best to worst, and how much it counts (default 1). */
export interface Ranking {
  readonly ids: readonly string[];
  readonly weight?: number;
}

/**
 * Makes one ranking of several: each id scores the sum of weight / (60 + rank) over the rankings that hold it,
 * with ranks from 1. Only places count, so scores of different scales need not be compared. An id counts once per
 * ranking, at its best place. Best first; equals in the order in which they were first met.
 */
export function fuseRankings(
  rankings: readonly Ranking[],
): { readonly id: string; readonly score: number }[] {
  const scores = new Map<string, number>();
  for (const { ids, weight = 1 } of rankings) {
    let rank = 0;
    for (const id of new Set(ids)) {
      rank += 1;
      scores.set(id, (scores.get(id) ?? 0) + weight / (RANK_CONSTANT + rank));
    }
  }
  return [...scores].map(([id, score]) => ({ id, score })).sort((a, b) => b.score - a.score);
}
