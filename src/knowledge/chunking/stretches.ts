import { estimateMilliTokens, fittingEnd } from './estimate-tokens.ts';
import { isSpace, sentenceStarts } from './sentence-breaks.ts';
import type { BreakKind, StructuredLine } from './structured-lines.ts';

/** A part of a line: a sentence where the line is prose, words of it where it is too long, parts of an enormous word. */
export type Stretch = { start: number; end: number; size: number; before: BreakKind };

/** Cuts a line into stretches of at most `maxSize` thousandths of a token. Only the first has the line's own break. */
export function* stretches(text: string, line: StructuredLine, maxSize: number): Generator<Stretch> {
  let start = line.start;
  let before = line.before;
  if (line.prose) {
    for (const next of sentenceStarts(text, line.start, line.end)) {
      yield* fitting(text, start, trimmedEnd(text, start, next), before, maxSize);
      start = next;
      before = 'sentence';
    }
  }
  yield* fitting(text, start, line.end, before, maxSize);
}

/** One stretch when it fits; otherwise one per word, and bounded parts of a word that is itself too large. */
function* fitting(
  text: string,
  start: number,
  end: number,
  before: BreakKind,
  maxSize: number,
): Generator<Stretch> {
  const size = estimateMilliTokens(text, start, end);
  if (size <= maxSize) {
    yield { start, end, size, before };
    return;
  }
  let kind = before;
  for (let at = start; at < end; at = skipSpace(text, at, end)) {
    const wordEnd = endOfWord(text, at, end);
    while (at < wordEnd) {
      const partEnd = wordPartEnd(text, at, wordEnd, maxSize);
      yield { start: at, end: partEnd, size: estimateMilliTokens(text, at, partEnd), before: kind };
      at = partEnd;
      kind = 'inside-word';
    }
    kind = /[,;:|)\]]/.test(text.charAt(wordEnd - 1)) ? 'clause' : 'word';
  }
}

function endOfWord(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && !isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function skipSpace(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function trimmedEnd(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

const MAX_BACKTRACK = 32;

/**
 * Where to cut a word so that the part from `start` stays within `maxSize`. Moves the cut back so that it does not
 * part a letter from its accents or a joined emoji, unless that would leave nothing or takes too many steps.
 */
function wordPartEnd(text: string, start: number, wordEnd: number, maxSize: number): number {
  const end = fittingEnd(text, start, wordEnd, maxSize);
  if (end >= wordEnd) return wordEnd;
  for (let at = end; at > start && end - at < MAX_BACKTRACK; at -= 1) {
    if (!joinsPrevious(text, at)) return at;
  }
  return end;
}

const COMBINING_FROM = 0x300;
const ZERO_WIDTH_JOINER = 0x200d;

function joinsPrevious(text: string, at: number): boolean {
  const next = text.charCodeAt(at);
  const previous = text.charCodeAt(at - 1);
  if (next < COMBINING_FROM) return false;
  const insidePair = next >= 0xdc00 && next <= 0xdfff && previous >= 0xd800 && previous <= 0xdbff;
  if (insidePair || next === ZERO_WIDTH_JOINER || previous === ZERO_WIDTH_JOINER) return true;
  return /^\p{M}/u.test(text.slice(at, at + 2));
}
