import type { Entry } from './entry.ts';

/**
 * Optimal probabilistic early recomputation (XFetch; Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
 * Stampede Prevention", VLDB 2015): one of many readers makes an answer anew shortly before it expires, the sooner the
 * longer making it takes. With beta = 1 the paper's scheme is optimal.
 * @param fraction in [0, 1).
 * @returns whether this reader is the one.
 */
export function isDueEarly(
  entry: Pick<Entry, 'expiresAtMs' | 'computeMs'>,
  nowMs: number,
  fraction: number,
  beta = 1,
): boolean {
  // 1 - fraction is in (0, 1], so that the logarithm is finite and never above 0.
  return nowMs - entry.computeMs * beta * Math.log(1 - fraction) >= entry.expiresAtMs;
}
