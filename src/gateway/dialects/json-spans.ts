/** Where the value of a member of a JSON object stands: bytes from `start` up to and without `end`. */
export interface Span {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

export interface Members {
  /** Every occurrence of a wanted key at the top level, in order; JSON.parse takes the last of equal keys. */
  readonly spans: readonly Span[];
  /** Offset behind the object's closing brace, or -1 when the bytes end or go wrong before it. */
  readonly end: number;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * Finds members of a JSON object without building it, so that a body can be passed on byte for byte but for one value.
 * Keys count as JSON.parse reads them, escapes included; only those at the top level do.
 * @param bytes UTF-8. What is not valid JSON gives `end: -1`, or spans of what looked like values.
 * @param from where the object begins; blanks may stand before it.
 */
export function findMembers(bytes: Buffer, wanted: readonly string[], from = 0): Members {
  const spans: Span[] = [];
  const broken = { spans, end: -1 };
  let at = skipBlanks(bytes, from);
  if (bytes[at] !== openBrace) return broken;
  at = skipBlanks(bytes, at + 1);
  if (bytes[at] === closeBrace) return { spans, end: at + 1 };
  for (;;) {
    if (bytes[at] !== quote) return broken;
    const keyEnd = skipString(bytes, at);
    const key = keyEnd < 0 ? undefined : wantedKey(bytes, at, keyEnd, wanted);
    at = keyEnd < 0 ? -1 : skipBlanks(bytes, keyEnd);
    if (at < 0 || bytes[at] !== colon) return broken;
    const start = skipBlanks(bytes, at + 1);
    const end = skipValue(bytes, start);
    if (end <= start) return broken;
    if (key !== undefined) spans.push({ key, start, end });
    at = skipBlanks(bytes, end);
    if (bytes[at] === closeBrace) return { spans, end: at + 1 };
    if (bytes[at] !== comma) return broken;
    at = skipBlanks(bytes, at + 1);
  }
}

/** The last occurrence, which is the one that counts. */
export function lastSpan(members: Members, key: string): Span | undefined {
  return members.spans.findLast((span) => span.key === key);
}

/** Where the elements of a JSON array stand. @param from where the array begins. */
export function elementsOf(bytes: Buffer, from: number): readonly Omit<Span, 'key'>[] {
  const elements: Omit<Span, 'key'>[] = [];
  if (bytes[from] !== openBracket) return elements;
  let at = skipBlanks(bytes, from + 1);
  while (bytes[at] !== closeBracket) {
    const end = skipValue(bytes, at);
    if (end <= at) return elements;
    elements.push({ start: at, end });
    at = skipBlanks(bytes, end);
    if (bytes[at] !== comma) return elements;
    at = skipBlanks(bytes, at + 1);
  }
  return elements;
}

/** Replaces spans (in order, not overlapping) by other bytes. */
export function splice(bytes: Buffer, edits: readonly { start: number; end: number; by: Buffer }[]): Buffer {
  if (edits.length === 0) return bytes;
  const grown = edits.reduce((total, edit) => total + edit.by.length - (edit.end - edit.start), bytes.length);
  const result = Buffer.allocUnsafe(grown);
  let read = 0;
  let written = 0;
  for (const edit of edits) {
    written += bytes.copy(result, written, read, edit.start);
    written += edit.by.copy(result, written);
    read = edit.end;
  }
  bytes.copy(result, written, read);
  return result;
}

/**
 * Whether JSON text is nested deeper than `most`. Looked at before it is parsed, because a parser builds millions of empty
 * lists in seconds during which nobody else is served.
 */
export function isDeeperThan(bytes: Buffer, most: number): boolean {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at) - 1;
      if (at < 0) return false;
    } else if (byte === openBrace || byte === openBracket) {
      if (++depth > most) return true;
    } else if (byte === closeBrace || byte === closeBracket) {
      depth--;
    }
  }
  return false;
}

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
}

/** Most strings are short; longer ones (a picture as base64) are left to the native search. */
const shortString = 64;

/** @returns the offset behind the closing quote, or -1. */
function skipString(bytes: Buffer, from: number): number {
  const near = Math.min(bytes.length, from + shortString);
  let at = from + 1;
  for (; at < near; at++) {
    const byte = bytes[at];
    if (byte === quote) return at + 1;
    if (byte === backslash) at++;
  }
  for (;;) {
    const end = bytes.indexOf(quote, at);
    if (end < 0) return -1;
    let escapes = end;
    while (escapes > at && bytes[escapes - 1] === backslash) escapes--;
    at = end + 1;
    // An even number of backslashes before a quote are escaped themselves and leave it alone.
    if ((end - escapes) % 2 === 0) return at;
  }
}

/** @returns the offset behind the value, or -1. */
function skipValue(bytes: Buffer, from: number): number {
  const first = bytes[from];
  if (first === quote) return skipString(bytes, from);
  if (first === openBrace || first === openBracket) return skipNested(bytes, from);
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte === comma || byte === closeBrace || byte === closeBracket || byte <= 0x20)
      return at;
    at++;
  }
}

function skipNested(bytes: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at) - 1;
      if (at < 0) return -1;
    } else if (byte === openBrace || byte === openBracket) {
      depth++;
    } else if (byte === closeBrace || byte === closeBracket) {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function wantedKey(bytes: Buffer, start: number, end: number, wanted: readonly string[]): string | undefined {
  const raw = bytes.toString('latin1', start + 1, end - 1);
  const known = wanted.indexOf(raw);
  if (known >= 0) return wanted[known];
  if (!raw.includes('\\')) return undefined;
  try {
    const key: unknown = JSON.parse(bytes.toString('utf8', start, end));
    return wanted.find((name) => name === key);
  } catch {
    return undefined;
  }
}
