import { estimateTokens, TOKEN } from './estimate-tokens.ts';
import { type Piece, pieces } from './pieces.ts';
import type { BreakKind } from './structured-lines.ts';

/** One passage of a document. `text === stored.slice(start, end)`, always. */
export type Chunk = {
  /** Position in the document, from 0. */
  ordinal: number;
  /** UTF-16 code units from the beginning of the stored text; never inside a surrogate pair. */
  start: number;
  /** UTF-16 code units, exclusive. */
  end: number;
  text: string;
  /** Titles of the sections the passage is in, outermost first, joined by ' > '; '' outside any section. */
  heading: string;
  /** Estimated o200k tokens of `text`. */
  tokens: number;
};

export type ChunkOptions = {
  /** Size to aim at, in estimated tokens. */
  targetTokens?: number;
  /** Size never exceeded by new text, in estimated tokens; at least 8. */
  maxTokens?: number;
  /** Up to this many estimated tokens of the previous chunk are repeated at the start of the next. */
  overlapTokens?: number;
};

/**
 * Measured on 236 questions over five public texts, ranked as search does: against 250/400, passages of this size raise
 * recall of the evidence in the first five from 0.940 to 0.956 and nDCG@10 from 0.847 to 0.877; for an equal amount of
 * text the two are level, and larger ones crowd a prompt.
 */
export const defaultChunkOptions = { targetTokens: 350, maxTokens: 512, overlapTokens: 0 } as const;

/** What breaking at each kind of place costs, next to the cost of missing the target size (1 = an empty chunk). */
const breakCost: Record<BreakKind, number> = {
  heading: 0,
  block: 0.12,
  item: 0.3,
  row: 0.35,
  'sentence-line': 0.25,
  code: 0.5,
  line: 0.5,
  sentence: 0.35,
  clause: 0.9,
  word: 1.2,
  'inside-word': 2,
};
const NESTED_ITEM_COST = 0.1;
const AFTER_HEADING_COST = 2;
const AFTER_COLON_COST = 0.25;

/**
 * Cuts a stored text into passages.
 *
 * Every character that is not white space is in exactly one chunk (or in more, with an overlap), chunks are in order,
 * and offsets count UTF-16 code units of the given string. Breaks fall at headings, paragraphs, list items, table
 * rows, code lines, sentences, words in that order of preference, weighed against the size aimed at.
 * Takes time linear in the length of the text: about a second for 10 million characters.
 *
 * @throws RangeError when the options contradict each other.
 */
export function chunkText(text: string, options: ChunkOptions = {}): Chunk[] {
  return [...chunksOf(text, options)];
}

/** The same as `chunkText`, one chunk at a time, so that a caller can yield to others while it works. */
export function* chunksOf(text: string, options: ChunkOptions = {}): Generator<Chunk> {
  const { targetTokens, maxTokens, overlapTokens } = { ...defaultChunkOptions, ...options };
  if (!(maxTokens >= 8 && targetTokens >= 1 && targetTokens <= maxTokens)) {
    throw new RangeError('chunk sizes: need maxTokens >= 8 and 1 <= targetTokens <= maxTokens');
  }
  if (!(overlapTokens >= 0 && overlapTokens <= maxTokens / 2)) {
    throw new RangeError('chunk sizes: overlapTokens must be between 0 and half of maxTokens');
  }
  const max = maxTokens * TOKEN;
  const target = targetTokens * TOKEN;
  const source = pieces(text, max);
  let ordinal = 0;
  let waiting: Piece[] = [];
  let previous: Piece[] = [];
  let ended = false;

  for (;;) {
    ended = ended || fill(waiting, source, max);
    if (waiting.length === 0) return;
    const count = bestBreak(text, waiting, ended, target, max);
    const taken = waiting.slice(0, count);
    waiting = waiting.slice(count);
    yield toChunk(text, ordinal, overlap(previous, taken, overlapTokens * TOKEN), taken);
    ordinal += 1;
    previous = taken;
  }
}

/** Draws pieces until more than `max` is waiting. True when the text has ended. */
function fill(waiting: Piece[], source: Generator<Piece>, max: number): boolean {
  let size = waiting.reduce((sum, piece) => sum + piece.gap + piece.size, 0);
  while (size <= max) {
    const next = source.next();
    if (next.done === true) return true;
    waiting.push(next.value);
    size += next.value.gap + next.value.size;
  }
  return false;
}

/** How many of the waiting pieces make the best next chunk: at least one, and at most `max` together. */
function bestBreak(
  text: string,
  waiting: readonly Piece[],
  ended: boolean,
  target: number,
  max: number,
): number {
  let size = 0;
  let best = 1;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let count = 1; count <= waiting.length; count += 1) {
    const last = waiting[count - 1];
    if (last === undefined) break;
    size += last.size + (count === 1 ? 0 : last.gap);
    if (size > max && count > 1) break;
    const next = waiting[count];
    if (next === undefined && !ended) break;
    const miss = (size - target) / target;
    const cost = miss * miss + (next === undefined ? 0 : costOf(text, last, next));
    if (cost <= bestCost) {
      bestCost = cost;
      best = count;
    }
  }
  return best;
}

function costOf(text: string, last: Piece, next: Piece): number {
  let cost = breakCost[next.before];
  if (next.before === 'item' && next.depth > 0) cost += NESTED_ITEM_COST;
  if (last.isHeading) cost += AFTER_HEADING_COST;
  if (text.charAt(last.end - 1) === ':') cost += AFTER_COLON_COST;
  return cost;
}

/** The last pieces of the previous chunk that fit into the overlap. */
function overlap(previous: readonly Piece[], taken: readonly Piece[], room: number): Piece[] {
  let from = previous.length;
  let size = taken[0]?.gap ?? 0;
  while (from > 0) {
    const piece = previous[from - 1];
    if (piece === undefined || size + piece.size + piece.gap > room) break;
    size += piece.size + piece.gap;
    from -= 1;
  }
  return previous.slice(from);
}

function toChunk(text: string, ordinal: number, repeated: readonly Piece[], taken: readonly Piece[]): Chunk {
  const start = (repeated[0] ?? taken[0])?.start ?? 0;
  const end = taken.at(-1)?.end ?? start;
  const slice = text.slice(start, end);
  return { ordinal, start, end, text: slice, heading: headingOf(taken), tokens: estimateTokens(slice) };
}

/** The section that all of the chunk's text shares; a chunk of headings alone takes the last one's. */
function headingOf(taken: readonly Piece[]): string {
  const content = taken.filter((piece) => !piece.isHeading);
  if (content.length === 0) return (taken.at(-1)?.path ?? []).join(' > ');
  let shared = content[0]?.path ?? [];
  for (const { path } of content) {
    if (path === shared) continue;
    let same = 0;
    while (same < shared.length && same < path.length && shared[same] === path[same]) same += 1;
    shared = shared.slice(0, same);
  }
  return shared.join(' > ');
}
