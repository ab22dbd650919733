/** A mean over questions and the 95 % interval of where it would lie on another draw of such questions. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1_000;

/**
 * Mean of `values` with its 95 % percentile bootstrap interval (Efron & Tibshirani, 1993, ch. 13): 1,000
 * resamples with replacement. The same values and seed give the same figures. All zeros when there are no values.
 */
export function estimateMean(values: readonly number[], seed: number): Estimate {
  if (values.length === 0) return { mean: 0, low: 0, high: 0 };
  const fraction = seededFractions(seed);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let draw = 0; draw < values.length; draw++)
      sum += values[Math.floor(fraction() * values.length)] ?? 0;
    return sum / values.length;
  }).sort();
  const at = (quantile: number) => means[Math.round(quantile * (RESAMPLES - 1))] ?? 0;
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: at(0.025),
    high: at(0.975),
  };
}

/** Repeatable chance in [0, 1): the mulberry32 generator (public domain, T. Ettinger). */
function seededFractions(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
