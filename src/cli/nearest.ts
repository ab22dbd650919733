/** Slips of at most this many letters are guessed at. */
const mostSlips = 2;

/** @returns the name that `text` was most likely meant to be; undefined when none is near. */
export function nearest(text: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, slips: slipsBetween(text, name) }))
    .filter(({ name, slips }) => slips <= mostSlips && slips < name.length)
    .sort((a, b) => a.slips - b.slips);
  return ranked[0]?.name;
}

/** Levenshtein distance: letters added, left out or exchanged. */
function slipsBetween(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(exchanged, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
}
