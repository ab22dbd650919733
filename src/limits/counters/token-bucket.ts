/** A bucket's level is kept in millionths of a unit, so that a rate of thousandths a second is whole per millisecond. */
export const millionths = 1_000_000;

/**
 * @param level as it was at `atMs`, millionths; undefined: a bucket nobody used yet, which is full.
 * @param burst units the bucket takes.
 * @returns the level now, millionths. A clock that was set back adds nothing and takes nothing.
 */
export function levelNow(
  level: number | undefined,
  atMs: number,
  nowMs: number,
  milliPerSecond: number,
  burst: number,
): number {
  const full = burst * millionths;
  if (level === undefined) return full;
  // The product may pass 2^53 after long idleness; it is rounded then, but never to less than full.
  const grown = nowMs > atMs ? level + (nowMs - atMs) * milliPerSecond : level;
  return Math.min(grown, full);
}

/** Milliseconds until the bucket, left alone, holds `wanted` millionths; 0 when it does. */
export function msUntilLevel(wanted: number, level: number, milliPerSecond: number): number {
  return wanted > level ? Math.ceil((wanted - level) / milliPerSecond) : 0;
}
