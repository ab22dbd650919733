import { isSpace } from './sentence-breaks.ts';

/**
 * How natural a break is, from most to least: before a new section; a new paragraph, table or list; an item of a
 * list; a row of a table; a line that follows a finished sentence; a line of code; any other line; a sentence inside a
 * line; a clause; a word; and last a place inside a word.
 */
export type BreakKind =
  | 'heading'
  | 'block'
  | 'item'
  | 'row'
  | 'sentence-line'
  | 'code'
  | 'line'
  | 'sentence'
  | 'clause'
  | 'word'
  | 'inside-word';

/** A line that is not blank, and its place in the document. */
export type StructuredLine = {
  /** UTF-16 offsets without the white space around; an underlined heading includes its underline. */
  start: number;
  end: number;
  before: BreakKind;
  /** 1 for an item of a list inside a list, otherwise 0. */
  depth: number;
  path: readonly string[];
  isHeading: boolean;
  /** May be broken between its sentences. */
  prose: boolean;
};

type Line = { start: number; end: number; contentStart: number; contentEnd: number };
type Block = 'none' | 'list' | 'table' | 'text';
type LineKind = 'item' | 'row' | 'rule' | 'text';
type Heading = { level: number; title: string; end: number };

const LONGEST_HEADING = 300;
const headingPattern = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const underlinePattern = /^ {0,3}(=+|-{3,})[ \t]*$/;
const fencePattern = /^ {0,3}(`{3,}|~{3,})/;
const itemPattern = /^([ \t]*)(?:[-*+•‣▪]|\d{1,9}[.)])[ \t]+\S/;
const rulePattern = /^ {0,3}([-*_=])(?:[ \t]*\1){2,}[ \t]*$/;
const sentenceEnd = /[.!?:;。！？…]["'”’»)\]*_]{0,3}$/;

/**
 * Reads a text line by line, with Markdown's structure where there is any: headings, code fences, lists, tables,
 * paragraphs. Text without marks is paragraphs and lines. Every character that is not white space is in one of the lines.
 */
export function* structuredLines(text: string): Generator<StructuredLine> {
  const closingFence = fenceFinder(text);
  let titles: Heading[] = [];
  let path: readonly string[] = [];
  let inBlock: Block = 'none';
  let afterBlank = true;
  let finishedSentence = true;
  let fenceClosesAt: number | undefined;

  for (let at = 0; at < text.length; ) {
    const line = lineAt(text, at);
    at = line.end + 1;
    if (line.contentStart === line.contentEnd) {
      afterBlank = true;
      continue;
    }
    const place = { start: line.contentStart, end: line.contentEnd, depth: 0, path, isHeading: false };
    if (fenceClosesAt !== undefined) {
      yield { ...place, before: afterBlank ? 'sentence-line' : 'code', prose: false };
      afterBlank = line.start >= fenceClosesAt;
      if (afterBlank) fenceClosesAt = undefined;
      continue;
    }
    const head = text.slice(line.start, Math.min(line.contentEnd, line.start + LONGEST_HEADING));
    const fence = fencePattern.exec(head)?.[1];
    if (fence !== undefined) {
      fenceClosesAt = closingFence(fence, line.end + 1);
      yield { ...place, before: 'block', prose: false };
      afterBlank = false;
      continue;
    }
    const heading = headingOf(text, line, head, afterBlank);
    if (heading !== undefined) {
      titles = [...titles.filter(({ level }) => level < heading.level), heading];
      path = titles.map(({ title }) => title);
      yield { ...place, end: heading.end, before: 'heading', path, isHeading: true, prose: true };
      at = Math.max(at, heading.end + 1);
      afterBlank = true;
      inBlock = 'none';
      continue;
    }
    const kind = lineKind(head, text.charCodeAt(line.contentStart));
    const before = breakBefore(kind, inBlock, afterBlank, finishedSentence);
    yield { ...place, before, depth: kind === 'item' ? depthOf(head) : 0, prose: kind !== 'row' };
    inBlock = blockAfter(kind, inBlock, afterBlank);
    finishedSentence = sentenceEnd.test(text.slice(Math.max(0, line.contentEnd - 4), line.contentEnd));
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

/**
 * Finds the line that closes a code fence. A failed search is remembered: a text of unclosed fences stays linear, and
 * what follows a fence that nobody closed is read as text.
 */
function fenceFinder(text: string) {
  const unclosed = new Map<string, number>();
  return (mark: string, from: number): number | undefined => {
    const character = mark.charAt(0);
    if (mark.length >= (unclosed.get(character) ?? Number.POSITIVE_INFINITY)) return undefined;
    for (let at = from; at < text.length; ) {
      const line = lineAt(text, at);
      at = line.end + 1;
      const head = text.slice(line.start, Math.min(line.contentEnd, line.start + LONGEST_HEADING));
      const found = fencePattern.exec(head)?.[1];
      const alone = found !== undefined && line.contentStart + found.length === line.contentEnd;
      if (alone && found.startsWith(mark)) return line.start;
    }
    unclosed.set(character, mark.length);
    return undefined;
  };
}

function headingOf(text: string, line: Line, head: string, afterBlank: boolean): Heading | undefined {
  if (line.contentEnd - line.start > LONGEST_HEADING) return undefined;
  const hash = headingPattern.exec(head);
  if (hash !== null) {
    const title = cleanTitle(hash[2] ?? '');
    return title === '' ? undefined : { level: hash[1]?.length ?? 1, title, end: line.contentEnd };
  }
  const mayBeUnderlined =
    afterBlank && line.end < text.length && lineKind(head, text.charCodeAt(line.contentStart)) === 'text';
  if (!mayBeUnderlined) return undefined;
  const next = lineAt(text, line.end + 1);
  if (next.end - next.start > LONGEST_HEADING) return undefined;
  const underline = underlinePattern.exec(text.slice(next.start, next.contentEnd))?.[1];
  if (underline === undefined) return undefined;
  return { level: underline.startsWith('=') ? 1 : 2, title: cleanTitle(head), end: next.contentEnd };
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
  if (kind === 'item') return inBlock !== 'list' && afterBlank ? 'block' : 'item';
  if (kind === 'row') return inBlock === 'table' && !afterBlank ? 'row' : 'block';
  if (afterBlank) return 'block';
  return finishedSentence ? 'sentence-line' : 'line';
}

/** A list goes on through text that is set in or separated by blank lines, until something else begins. */
function blockAfter(kind: LineKind, inBlock: Block, afterBlank: boolean): Block {
  if (kind === 'item') return 'list';
  if (kind === 'row') return 'table';
  return afterBlank && inBlock !== 'list' ? 'text' : inBlock;
}

function depthOf(head: string): number {
  return (itemPattern.exec(head)?.[1] ?? '') === '' ? 0 : 1;
}
