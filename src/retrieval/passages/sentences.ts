import { isSpace, sentenceStarts } from '../../knowledge/index.ts';

/** UTF-16 offsets into a text; `end` is exclusive, and neither end is white space. */
export interface SentenceSpan {
  readonly start: number;
  readonly end: number;
}

/** Longer sentences (tables without line breaks, minified text) are parted at white space. */
const MAX_SENTENCE_CHARACTERS = 600;
/** Lines this long that end without a full stop were wrapped by an editor: the sentence goes on below. */
const WRAPPED_LINE_CHARACTERS = 50;
/** Beginnings of lines that stand by themselves: headings, list items, table rows, quotations, fences. */
const OWN_LINE = /^\s*(?:#{1,6}\s|[-*+•]\s|\d{1,3}[.)]\s|[|>]|```|~~~|$)/;

/**
 * The sentences of a text in reading order. Headings, list items and table rows count as sentences; lines that
 * an editor wrapped are read on. Everything but white space is in exactly one of them.
 */
export function sentencesOf(text: string): SentenceSpan[] {
  const sentences: SentenceSpan[] = [];
  for (const { start, end } of stretches(text)) {
    let from = start;
    for (const next of sentenceStarts(text, start, end)) {
      pushTrimmed(sentences, text, from, next);
      from = next;
    }
    pushTrimmed(sentences, text, from, end);
  }
  return sentences;
}

/** Lines, with those joined that read as one flow. */
function* stretches(text: string): Generator<SentenceSpan> {
  let start = 0;
  for (let lineStart = 0; lineStart < text.length; ) {
    const newline = text.indexOf('\n', lineStart);
    const lineEnd = newline === -1 ? text.length : newline;
    const next = lineEnd + 1;
    if (next >= text.length || !readsOn(text, lineStart, lineEnd)) {
      yield { start, end: lineEnd };
      start = next;
    }
    lineStart = next;
  }
}

function readsOn(text: string, lineStart: number, lineEnd: number): boolean {
  const line = text.slice(lineStart, lineEnd).trimEnd();
  if (line.length < WRAPPED_LINE_CHARACTERS || /[.!?:;|。！？]$/.test(line) || /^\s*#/.test(line))
    return false;
  const newline = text.indexOf('\n', lineEnd + 1);
  const below = text.slice(lineEnd + 1, newline === -1 ? text.length : newline);
  return !OWN_LINE.test(below) && !below.includes('|');
}

function pushTrimmed(sentences: SentenceSpan[], text: string, from: number, to: number): void {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  while (end - start > MAX_SENTENCE_CHARACTERS) {
    const space = text.lastIndexOf(' ', start + MAX_SENTENCE_CHARACTERS);
    let cut = space > start ? space : start + MAX_SENTENCE_CHARACTERS;
    if (/[\ud800-\udbff]/.test(text.charAt(cut - 1))) cut -= 1;
    sentences.push({ start, end: cut });
    start = text.charAt(cut) === ' ' ? cut + 1 : cut;
    while (start < end && /\s/.test(text.charAt(start))) start += 1;
  }
  if (end > start) sentences.push({ start, end });
}
