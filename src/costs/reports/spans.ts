/** How long a rollup's span is. */
export type Grain = 'quarter' | 'hour' | 'day' | 'month';

/** From `from` up to and without `to`, milliseconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Division {
  /** Spans that whole rollups of a grain fill. */
  readonly rolled: readonly (Span & { readonly grain: Grain })[];
  /** What is left over at the edges: less than the finest grain each, or older than it is kept for. */
  readonly edges: readonly Span[];
}

const quarterMs = 15 * 60_000;
const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

/**
 * Divides a span of time, so that it is read from as few and as large rollups as can be, and only what no rollup fills
 * from single rows. The pieces do not overlap and together are the span.
 * @param grains which there are, from the largest to the smallest.
 * @param hoursSince rollups by the hour exist from here on only; the beginning of an hour.
 */
export function divide(
  span: Span,
  grains: readonly Grain[],
  hoursSince = Number.NEGATIVE_INFINITY,
): Division {
  const rolled: (Span & { grain: Grain })[] = [];
  const edges: Span[] = [];
  const fill = ({ from, to }: Span, level: number): void => {
    if (from >= to) return;
    const grain = grains[level];
    if (grain === undefined) {
      edges.push({ from, to });
      return;
    }
    const earliest = grain === 'hour' ? Math.max(from, hoursSince) : from;
    const start = firstAtOrAfter(earliest, grain);
    const end = startOf(to, grain);
    if (start >= end) {
      fill({ from, to }, level + 1);
      return;
    }
    fill({ from, to: start }, level + 1);
    rolled.push({ grain, from: start, to: end });
    fill({ from: end, to }, level + 1);
  };
  fill(span, 0);
  return { rolled, edges };
}

/** The beginning of the span of this grain, in UTC, that a moment lies in. */
export function startOf(ms: number, grain: Grain): number {
  if (grain === 'month') {
    const date = new Date(ms);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  }
  const length = grain === 'day' ? dayMs : grain === 'hour' ? hourMs : quarterMs;
  return Math.floor(ms / length) * length;
}

function firstAtOrAfter(ms: number, grain: Grain): number {
  const start = startOf(ms, grain);
  if (start === ms) return ms;
  if (grain === 'month') {
    const date = new Date(start);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  }
  return start + (grain === 'day' ? dayMs : grain === 'hour' ? hourMs : quarterMs);
}
