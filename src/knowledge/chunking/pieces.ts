import { estimateMilliTokens, fittingEnd } from './estimate-tokens.ts';
import { isSpace, sentenceStarts } from './sentence-breaks.ts';

/**
 * How natural a break before a piece is, from most to least: a new section, a new paragraph or table or list,
 * an item of a list, a line that follows a finished sentence, any other line, a sentence inside a line, a clause,
 * a word, and last a place inside a word.
 */
export type BreakKind =
  | 'heading'
  | 'block'
  | 'item'
  | 'row'
  | 'code'
  | 'sentence-line'
  | 'line'
  | 'sentence'
  | 'clause'
  | 'word'
  | 'inside-word';

/** A stretch of text that is not broken further; pieces follow each other in order and cover all but white space. */
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
  /** Nesting of a list item, or level 1 to 6 of a heading; otherwise 0. */
  level: number;
  /** Titles of the sections this piece is in, outermost first. A heading belongs to the section it opens. */
  path: readonly string[];
  isHeading: boolean;
};

const LONGEST_HEADING = 300;
const headingPattern = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const fencePattern = /^ {0,3}(`{3,}|~{3,})/;
const itemPattern = /^([ \t]*)(?:[-*+•‣▪]|\d{1,9}[.)])[ \t]+\S/;
const underlinePattern = /^ {0,3}(=+|-{3,})[ \t]*$/;
const rulePattern = /^ {0,3}([-*_=])(?:[ \t]*\1){2,}[ \t]*$/;

type Block = 'none' | 'list' | 'table' | 'text';
type LineKind = 'item' | 'row' | 'rule' | 'text';
type Line = { start: number; end: number; contentStart: number; contentEnd: number };

/**
 * Cuts `text` into pieces no larger than `maxSize` thousandths of a token, reading Markdown structure where there is any.
 * Linear in the length of the text, and lazy: nothing beyond the current line is held.
 */
export function* pieces(text: string, maxSize: number): Generator<Piece> {
  let previousEnd: number | undefined;
  for (const piece of contentPieces(text, maxSize)) {
    const gap = previousEnd === undefined ? 0 : estimateMilliTokens(text, previousEnd, piece.start);
    previousEnd = piece.end;
    yield { ...piece, gap };
  }
}

function* contentPieces(text: string, maxSize: number): Generator<Piece> {
  const fences = fenceFinder(text);
  let titles: { level: number; title: string }[] = [];
  let path: readonly string[] = [];
  let afterBlank = true;
  let fenceClosesAt: number | undefined;
  let inBlock: Block = 'none';
  let finishedSentence = true;
  let skipUntil = 0;

  for (let at = 0; at < text.length; ) {
    const line = lineAt(text, at);
    at = line.end + 1;
    if (line.start < skipUntil) continue;
    if (line.contentStart === line.contentEnd) {
      afterBlank = true;
      continue;
    }
    const short = line.contentEnd - line.start <= LONGEST_HEADING;
    const head = text.slice(line.start, Math.min(line.contentEnd, line.start + LONGEST_HEADING));

    if (fenceClosesAt !== undefined) {
      yield* split(text, line, afterBlank ? 'sentence-line' : 'code', 0, path, maxSize);
      afterBlank = false;
      if (line.start >= fenceClosesAt) {
        fenceClosesAt = undefined;
        afterBlank = true;
      }
      continue;
    }

    const opening = fencePattern.exec(head)?.[1];
    if (opening !== undefined) {
      fenceClosesAt = fences(opening, line.end + 1);
      yield* split(text, line, 'block', 0, path, maxSize);
      afterBlank = false;
      continue;
    }

    const heading = short ? headingOf(text, line, head, afterBlank) : undefined;
    if (heading !== undefined) {
      titles = [...titles.filter(({ level }) => level < heading.level), heading];
      path = titles.map(({ title }) => title);
      skipUntil = heading.end;
      yield* headingPieces(text, line, heading, path, maxSize);
      afterBlank = true;
      inBlock = 'none';
      continue;
    }

    const kind = lineKind(head, text.charCodeAt(line.contentStart));
    const before = breakBefore(kind, inBlock, afterBlank, finishedSentence);
    const level = kind === 'item' ? indentOf(head) : 0;
    yield* split(text, line, before, level, path, maxSize);
    inBlock = blockAfter(kind, inBlock, afterBlank);
    finishedSentence = endsLikeSentence(text, line.contentEnd);
    afterBlank = false;
  }
}

function lineAt(text: string, start: number): Line {
  const newline = text.indexOf('\n', start);
  const end = newline === -1 ? text.length : newline;
  let contentStart = start;
  while (contentStart < end && isSpace(text.charCodeAt(contentStart))) contentStart += 1;
  let contentEnd = end;
  while (contentEnd > contentStart && isSpace(text.charCodeAt(contentEnd - 1))) contentEnd -= 1;
  return { start, end, contentStart, contentEnd };
}

/** Finds where a code fence closes; remembers a failed search, so that a text of unclosed fences stays linear. */
function fenceFinder(text: string) {
  const unclosed = new Map<string, number>();
  return (mark: string, from: number): number | undefined => {
    const character = mark.charAt(0);
    if (mark.length >= (unclosed.get(character) ?? Number.POSITIVE_INFINITY)) return undefined;
    for (let at = from; at < text.length; at += 1) {
      const line = lineAt(text, at);
      at = line.end;
      const closing = fencePattern.exec(
        text.slice(line.start, Math.min(line.contentEnd, line.start + LONGEST_HEADING)),
      );
      const found = closing?.[1];
      if (found?.startsWith(mark) === true && line.contentStart + found.length === line.contentEnd)
        return line.start;
    }
    unclosed.set(character, mark.length);
    return undefined;
  };
}

type Heading = { level: number; title: string; end: number };

function headingOf(text: string, line: Line, head: string, afterBlank: boolean): Heading | undefined {
  const hash = headingPattern.exec(head);
  if (hash !== null) {
    const title = cleanTitle(hash[2] ?? '');
    return title === '' ? undefined : { level: hash[1]?.length ?? 1, title, end: line.end };
  }
  if (!afterBlank || line.end >= text.length || itemPattern.test(head) || head.trimStart().startsWith('|')) {
    return undefined;
  }
  const next = lineAt(text, line.end + 1);
  if (next.end - next.start > LONGEST_HEADING) return undefined;
  const underline = underlinePattern.exec(text.slice(next.start, next.contentEnd))?.[1];
  if (underline === undefined) return undefined;
  return { level: underline.startsWith('=') ? 1 : 2, title: cleanTitle(head.trim()), end: next.end };
}

/** The title as a reader sees it: no closing hashes, emphasis marks or link targets. */
function cleanTitle(raw: string): string {
  return raw
    .replace(/\s#+\s*$/, '')
    .replace(/!?\[([^\][]*)\]\([^()]*\)/g, '$1')
    .replace(/[*_`]{1,3}/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** A list goes on through indented or blank-separated text until something else begins. */
function blockAfter(kind: LineKind, inBlock: Block, afterBlank: boolean): Block {
  if (kind === 'item') return 'list';
  if (kind === 'row') return 'table';
  return afterBlank && inBlock !== 'list' ? 'text' : inBlock;
}

function lineKind(head: string, first: number): LineKind {
  if (first === 0x7c) return 'row';
  if (rulePattern.test(head)) return 'rule';
  return itemPattern.test(head) ? 'item' : 'text';
}

function breakBefore(
  kind: LineKind,
  inBlock: Block,
  afterBlank: boolean,
  finishedSentence: boolean,
): BreakKind {
  if (kind === 'rule') return 'block';
  if (kind === 'item') return inBlock === 'list' ? 'item' : afterBlank ? 'block' : 'item';
  if (kind === 'row') return inBlock === 'table' && !afterBlank ? 'row' : 'block';
  if (afterBlank) return 'block';
  return finishedSentence ? 'sentence-line' : 'line';
}

function indentOf(head: string): number {
  const indent = itemPattern.exec(head)?.[1] ?? '';
  return indent === '' ? 0 : 1;
}

function endsLikeSentence(text: string, end: number): boolean {
  return /[.!?:;。！？…]["'”’»)\]*_]{0,3}$/.test(text.slice(Math.max(0, end - 4), end));
}

function* headingPieces(
  text: string,
  line: Line,
  heading: Heading,
  path: readonly string[],
  maxSize: number,
): Generator<Piece> {
  const end = trimmedEnd(text, line.contentStart, heading.end);
  for (const piece of splitStretch(text, line.contentStart, end, 'heading', heading.level, path, maxSize)) {
    yield { ...piece, isHeading: true };
  }
}

function trimmedEnd(text: string, start: number, end: number): number {
  let trimmed = end;
  while (trimmed > start && isSpace(text.charCodeAt(trimmed - 1))) trimmed -= 1;
  return trimmed;
}

function* split(
  text: string,
  line: Line,
  before: BreakKind,
  level: number,
  path: readonly string[],
  maxSize: number,
): Generator<Piece> {
  if (before === 'code' || before === 'row') {
    yield* splitStretch(text, line.contentStart, line.contentEnd, before, level, path, maxSize);
    return;
  }
  let start = line.contentStart;
  let kind = before;
  for (const next of sentenceStarts(text, line.contentStart, line.contentEnd)) {
    yield* splitStretch(text, start, trimmedEnd(text, start, next), kind, level, path, maxSize);
    start = next;
    kind = 'sentence';
  }
  yield* splitStretch(text, start, line.contentEnd, kind, level, path, maxSize);
}

/** One piece when it fits; otherwise one piece per word, and bounded parts of a word that itself is too large. */
function* splitStretch(
  text: string,
  start: number,
  end: number,
  before: BreakKind,
  level: number,
  path: readonly string[],
  maxSize: number,
): Generator<Piece> {
  const size = estimateMilliTokens(text, start, end);
  if (size <= maxSize) {
    yield { start, end, size, gap: 0, before, level, path, isHeading: false };
    return;
  }
  let kind = before;
  for (let at = start; at < end; ) {
    let wordEnd = at;
    while (wordEnd < end && !isSpace(text.charCodeAt(wordEnd))) wordEnd += 1;
    for (let partStart = at; partStart < wordEnd; ) {
      const partEnd = wordPartEnd(text, partStart, wordEnd, maxSize);
      const partSize = estimateMilliTokens(text, partStart, partEnd);
      yield {
        start: partStart,
        end: partEnd,
        size: partSize,
        gap: 0,
        before: kind,
        level,
        path,
        isHeading: false,
      };
      partStart = partEnd;
      kind = 'inside-word';
    }
    kind = /[,;:|)\]]/.test(text.charAt(wordEnd - 1)) ? 'clause' : 'word';
    at = wordEnd;
    while (at < end && isSpace(text.charCodeAt(at))) at += 1;
  }
}

const MAX_BACKTRACK = 32;

/**
 * Where to cut a word so that the part from `start` stays within `maxSize`. Moves the cut back so that it does not
 * part a letter from its accents or a joined emoji, unless that would leave nothing or takes too many steps.
 */
function wordPartEnd(text: string, start: number, wordEnd: number, maxSize: number): number {
  const fitting = fittingEnd(text, start, wordEnd, maxSize);
  if (fitting >= wordEnd) return wordEnd;
  for (let at = fitting; at > start && fitting - at < MAX_BACKTRACK; at -= 1) {
    if (!joinsPrevious(text, at)) return at;
  }
  return fitting;
}

function isLowSurrogateOfPair(text: string, at: number): boolean {
  const low = text.charCodeAt(at);
  const high = text.charCodeAt(at - 1);
  return low >= 0xdc00 && low <= 0xdfff && high >= 0xd800 && high <= 0xdbff;
}

function joinsPrevious(text: string, at: number): boolean {
  if (isLowSurrogateOfPair(text, at)) return true;
  const next = text.charCodeAt(at);
  if (next < 0x300) return false;
  if (next === 0x200d || text.charCodeAt(at - 1) === 0x200d) return true;
  return /^\p{M}/u.test(text.slice(at, at + 2));
}
