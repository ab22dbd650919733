import { isUtf8 } from 'node:buffer';
import { ParseFailure } from './parse-failure.ts';

const SAMPLE_BYTES = 65_536;
/** Text has next to no control characters; compressed or random bytes have about one in ten. */
const CONTROL_SHARE_OF_BINARY = 0.02;

/**
 * Decodes a text file: UTF-8 with or without a byte order mark, UTF-16 with one, and any encoding that the file's
 * declared type (`text/plain; charset=…`) or an HTML page's own `<meta charset>` names.
 *
 * An encoding that nobody named is not guessed at: a wrong guess would be stored, searched and quoted unnoticed.
 *
 * @throws ParseFailure `binary_content` or `invalid_encoding`.
 */
export function decodeText(bytes: Uint8Array, declaredType?: string): string {
  const mark = byteOrderMark(bytes);
  if (mark === 'utf-32') {
    throw new ParseFailure(
      'invalid_encoding',
      'The text is encoded as UTF-32. Save it as UTF-8 and upload it again.',
    );
  }
  if (mark === 'utf-16le' || mark === 'utf-16be') return decodeUtf16(bytes, mark);
  if (looksBinary(bytes)) {
    if (looksLikeUtf16(bytes)) {
      throw new ParseFailure(
        'invalid_encoding',
        'The text looks like UTF-16 without a byte order mark. Save it as UTF-8 and upload it again.',
      );
    }
    throw new ParseFailure(
      'binary_content',
      'The content is not text. Upload the document itself as PDF, DOCX, HTML, Markdown or plain text.',
    );
  }
  if (isUtf8(bytes)) return new TextDecoder('utf-8').decode(bytes);
  const charset = namedCharset(bytes, declaredType);
  if (charset === undefined) throw invalidUtf8(bytes);
  return decodeAs(charset, bytes);
}

const META_WITHIN_BYTES = 1024;

function namedCharset(bytes: Uint8Array, declaredType: string | undefined): string | undefined {
  const head = Buffer.from(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.length, META_WITHIN_BYTES),
  ).toString('latin1');
  const named =
    /charset=["']?([\w.:-]{2,40})/i.exec(declaredType ?? '') ??
    /<meta[^>]{1,200}charset=["']?([\w.:-]{2,40})/i.exec(head);
  const charset = named?.[1]?.toLowerCase();
  return charset === undefined || /^utf-?8$/.test(charset) ? undefined : charset;
}

function decodeAs(charset: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ParseFailure(
      'invalid_encoding',
      `The file says that its encoding is ${charset}, but it cannot be read as that. Save it as UTF-8 and upload it again.`,
      { cause },
    );
  }
}

function byteOrderMark(bytes: Uint8Array): 'utf-16le' | 'utf-16be' | 'utf-32' | undefined {
  const [first, second, third, fourth] = bytes;
  if (first === 0xff && second === 0xfe) return third === 0 && fourth === 0 ? 'utf-32' : 'utf-16le';
  if (first === 0 && second === 0 && third === 0xfe && fourth === 0xff) return 'utf-32';
  return first === 0xfe && second === 0xff ? 'utf-16be' : undefined;
}

function decodeUtf16(bytes: Uint8Array, encoding: 'utf-16le' | 'utf-16be'): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ParseFailure(
      'invalid_encoding',
      'The file is marked as UTF-16 but is not valid UTF-16. Save it as UTF-8 and upload it again.',
      { cause },
    );
  }
}

/** True when the beginning holds more control characters than text ever does. */
function looksBinary(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, SAMPLE_BYTES);
  let controls = 0;
  for (const byte of sample) {
    if (byte === 0x7f || (byte < 32 && !(byte >= 8 && byte <= 13) && byte !== 27)) controls += 1;
  }
  return controls > sample.length * CONTROL_SHARE_OF_BINARY;
}

function looksLikeUtf16(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, 512);
  let even = 0;
  let odd = 0;
  for (const [index, byte] of sample.entries()) {
    if (byte !== 0) continue;
    if (index % 2 === 0) even += 1;
    else odd += 1;
  }
  const most = sample.length * 0.4;
  return (odd >= most && even === 0) || (even >= most && odd === 0);
}

function invalidUtf8(bytes: Uint8Array): ParseFailure {
  const at = firstInvalidUtf8(bytes);
  const value = bytes[at]?.toString(16).toUpperCase().padStart(2, '0') ?? '';
  return new ParseFailure(
    'invalid_encoding',
    `The text is not valid UTF-8: byte 0x${value} at position ${at} (line ${lineOf(bytes, at)}). ` +
      'It may be in an older encoding such as Windows-1252. Save it as UTF-8 and upload it again.',
  );
}

/** Position of the first byte that cannot be part of well-formed UTF-8 (Unicode 16, table 3-7); the length when all is well. */
export function firstInvalidUtf8(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return at;
}

function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  const [low, high] = secondByteRange(first);
  const second = bytes[at + 1] ?? 0;
  if (second < low || second > high) return 0;
  for (let index = at + 2; index < at + length; index += 1) {
    if (((bytes[index] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/** Excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
function secondByteRange(first: number): readonly [low: number, high: number] {
  if (first === 0xe0) return [0xa0, 0xbf];
  if (first === 0xed) return [0x80, 0x9f];
  if (first === 0xf0) return [0x90, 0xbf];
  if (first === 0xf4) return [0x80, 0x8f];
  return [0x80, 0xbf];
}

function lineOf(bytes: Uint8Array, at: number): number {
  let line = 1;
  for (let index = bytes.indexOf(10); index !== -1 && index < at; index = bytes.indexOf(10, index + 1))
    line += 1;
  return line;
}
