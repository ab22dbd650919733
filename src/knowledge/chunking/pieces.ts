import { estimateMilliTokens } from './estimate-tokens.ts';
import { stretches } from './stretches.ts';
import { type BreakKind, structuredLines } from './structured-lines.ts';

/** A part of a text that is not broken further; pieces follow each other in order and cover all but white space. */
export type Piece = {
  /** UTF-16 offsets; `end` excludes trailing white space. */
  start: number;
  end: number;
  /** Estimated size in thousandths of a token, white space around it left out. */
  size: number;
  /** Estimated size of the white space since the previous piece. */
  gap: number;
  /** What a break before this piece would break. */
  before: BreakKind;
  /** 1 for an item of a list inside a list, otherwise 0. */
  depth: number;
  /** Titles of the sections this piece is in, outermost first. A heading belongs to the section it opens. */
  path: readonly string[];
  isHeading: boolean;
};

/**
 * Cuts `text` into pieces no larger than `maxSize` thousandths of a token.
 * Linear in the length of the text, and lazy: nothing beyond the current line is held.
 */
export function* pieces(text: string, maxSize: number): Generator<Piece> {
  let previousEnd: number | undefined;
  for (const line of structuredLines(text)) {
    for (const { start, end, size, before } of stretches(text, line, maxSize)) {
      const gap = previousEnd === undefined ? 0 : estimateMilliTokens(text, previousEnd, start);
      previousEnd = end;
      yield { start, end, size, gap, before, depth: line.depth, path: line.path, isHeading: line.isHeading };
    }
  }
}
