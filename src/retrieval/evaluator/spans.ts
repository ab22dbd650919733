/** Characters `start` (inclusive) to `end` (exclusive) of a text, in UTF-16 units as JavaScript counts. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The same characters as spans in reading order, with those that overlap or touch made one. */
export function unite(spans: readonly Span[]): Span[] {
  const united: { start: number; end: number }[] = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = united.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else united.push({ start, end });
  }
  return united;
}

/** How many characters the spans hold together, counting none twice. */
export function charactersIn(spans: readonly Span[]): number {
  return unite(spans).reduce((sum, { start, end }) => sum + end - start, 0);
}

/** How many characters are in `a` and in `b`, counting none twice. */
export function charactersInBoth(a: readonly Span[], b: readonly Span[]): number {
  return charactersIn(a) + charactersIn(b) - charactersIn([...a, ...b]);
}
