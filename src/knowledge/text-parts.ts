import type { TextPart } from './knowledge-tables.ts';

/** UTF-16 code units of a stored part: small enough to read for one citation, large enough that a book is few rows. */
const partLength = 65_536;

/** Cuts a text into parts of at most `length` (>= 2) code units, none of which begins or ends inside a surrogate pair. */
export function* textParts(text: string, length = partLength): Generator<TextPart> {
  let start = 0;
  while (start < text.length) {
    let end = Math.min(start + length, text.length);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
    yield { start, end, text: text.slice(start, end) };
    start = end;
  }
}

/**
 * The text from `start` to `end` out of the parts that cover it, in any order; null when they do not cover it all or
 * the span is empty or backwards.
 */
export function sliceOf(parts: readonly TextPart[], start: number, end: number): string | null {
  if (!(start >= 0 && start < end)) return null;
  let slice = '';
  let at = start;
  for (const part of [...parts].sort((a, b) => a.start - b.start)) {
    if (part.end <= at || part.start > at) continue;
    slice += part.text.slice(at - part.start, end - part.start);
    at = Math.min(part.end, end);
    if (at === end) return slice;
  }
  return null;
}

function isHighSurrogate(codeUnit: number): boolean {
  return codeUnit >= 0xd800 && codeUnit <= 0xdbff;
}
