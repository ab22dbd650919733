/** Anything that has a share: targets of a tier, keys of a provider. */
export interface Weighted {
  readonly weight: number;
}

/**
 * @param among at least one.
 * @param fraction gives a number in [0, 1).
 * @returns the position of the one whose turn it is: each has its share of the weights.
 */
export function drawOne(among: readonly Weighted[], fraction: () => number): number {
  if (among.length < 2) return 0;
  let total = 0;
  for (const { weight } of among) total += weight;
  let at = fraction() * total;
  for (const [index, { weight }] of among.entries()) {
    at -= weight;
    if (at < 0) return index;
  }
  // Adding up fractions may fall short of the total by the last bit; then it is the last one's turn.
  return among.length - 1;
}

/**
 * @returns all of them, drawn one after the other by weight: the first one is each with its share, and the others stand
 *   by.
 */
export function drawInTurn<Item extends Weighted>(items: readonly Item[], fraction: () => number): Item[] {
  const left = [...items];
  const drawn: Item[] = [];
  while (left.length > 0) drawn.push(...left.splice(drawOne(left, fraction), 1));
  return drawn;
}
