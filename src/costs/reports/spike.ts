import { deviationFromMedian, medianOf } from './median.ts';

/** What a period would have to cost to stand out, dollars, and what that was computed from. */
export interface SpikeRule {
  readonly median: number;
  /** The median absolute deviation. */
  readonly deviation: number;
  /** A period that costs more than this is a spike. */
  readonly bound: number;
}

/** How many standard deviations above the ordinary; about one period in 100,000 of an even day would be. */
const k = 4;
/** The median absolute deviation of a normal distribution is 1 / 1.4826 of its standard deviation (Rousseeuw & Croux, 1993). */
const normalScale = 1.4826;
/** Where every period cost nearly the same, half as much again is not yet a spike. */
const leastRise = 0.5;
/** Fewer periods say nothing of what is ordinary. */
const leastPeriods = 7;

/**
 * Median and deviation from it, because the mean would be moved by the very spikes that are looked for.
 * @param before what comparable periods before cost, dollars; those without spend count as 0.
 * @param leastMoney dollars that a spike has at least above the ordinary, so that nobody is woken for cents.
 * @returns null when there are fewer than seven periods to compare with.
 */
export function spikeRule(before: readonly number[], leastMoney: number): SpikeRule | null {
  if (before.length < leastPeriods) return null;
  const median = medianOf(before);
  const deviation = deviationFromMedian(before);
  const rise = Math.max(k * normalScale * deviation, leastRise * median, leastMoney);
  return { median, deviation, bound: median + rise };
}
