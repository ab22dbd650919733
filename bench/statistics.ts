/** The arithmetic of the benchmarks: no units, the caller's numbers in, the caller's unit out. */

/** What one series of measurements comes to. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * The nearest-rank percentile: the smallest value with at least `percent` percent of the values at or below it.
 * `sorted` rises; NaN of no values; `percent` is from 0 to 100.
 */
export function percentileOf(sorted: readonly number[], percent: number): number {
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle value, or the mean of the two middle ones; NaN of no values. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[sorted.length / 2 - 1] ?? Number.NaN) + upper) / 2;
}

/** Count, median, 99th percentile and maximum of measurements in any order. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  return {
    count: sorted.length,
    p50: percentileOf(sorted, 50),
    p99: percentileOf(sorted, 99),
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/**
 * How one thing compares with another measured in the same rounds: the median of the rounds' own ratios, so that a
 * slow spell of the machine, which hits both sides of a round, does not decide. NaN of no rounds.
 */
export function pairedRatio(measured: readonly number[], baseline: readonly number[]): number {
  const ratios = measured.flatMap((value, round) => {
    const base = baseline[round];
    return base === undefined || base === 0 ? [] : [value / base];
  });
  return medianOf(ratios);
}
