import { countTokens as countExactly, decodeGenerator, encode } from 'gpt-tokenizer/encoding/o200k_base';

/**
 * The simulator's token rule, one for streams and whole replies: a text counts as its o200k_base tokens (the
 * encoding of gpt-4o and later), special-token spellings being ordinary text. Two bounds keep hostile input cheap,
 * since byte-pair merging is quadratic in an unbroken run: the text is encoded in slices of 8,192 characters, and
 * what lies beyond the first 262,144 characters counts one token for every 4 characters begun.
 */
const sliceCharacters = 8_192;
const exactCharacters = 262_144;
const asPlainText = { disallowedSpecial: new Set<string>() };

/** Tokens of a text by the rule above: 0 or more. */
export function countTokens(text: string): number {
  if (text.length <= sliceCharacters) return countExactly(text, asPlainText);
  let total = 0;
  for (const slice of slicesOf(text, exactCharacters)) total += countExactly(slice.text, asPlainText);
  return total + Math.ceil(Math.max(0, text.length - exactCharacters) / 4);
}

/**
 * Where each token of a text ends, as a position in the text: one number per token, never falling, the last being the
 * text's length. A token that ends inside a character ends, here, before that character.
 *
 * Positions are read off one whole decoding. Decoding a part would not do: the library shares one streaming decoder
 * between all calls, so half a character left in it would turn up at the start of some other text.
 */
export function tokenEnds(text: string): number[] {
  const ends: number[] = [];
  for (const slice of slicesOf(text, text.length)) {
    for (const end of sliceTokenEnds(slice.text)) ends.push(slice.start + end);
  }
  return ends;
}

/** The start of a text, some tokens long; whole characters only. */
export function firstTokens(text: string, ends: readonly number[], tokens: number): string {
  return tokens >= ends.length ? text : text.slice(0, ends[tokens - 1] ?? 0);
}

/** The pieces in which a stream sends a text, `tokensPerPiece` tokens each. Joined they are exactly the text. */
export function textPieces(text: string, ends: readonly number[], tokensPerPiece: number): string[] {
  const pieces: string[] = [];
  let sent = 0;
  for (let token = tokensPerPiece - 1; sent < text.length; token += tokensPerPiece) {
    const end = ends[token] ?? text.length;
    if (end > sent) pieces.push(text.slice(sent, end));
    sent = end;
  }
  return pieces;
}

/** Slices of at most 8,192 characters, none ending inside a surrogate pair, up to a position in the text. */
function* slicesOf(text: string, last: number): Generator<{ readonly start: number; readonly text: string }> {
  const textEnd = Math.min(text.length, last);
  for (let start = 0; start < textEnd; ) {
    const end = wholeCharacterEnd(text, Math.min(start + sliceCharacters, textEnd));
    yield { start, text: text.slice(start, end) };
    // Only the very end can be inside a pair that begins right there; going on from it would never end.
    start = end > start ? end : textEnd;
  }
}

function sliceTokenEnds(text: string): number[] {
  const tokens = encode(text, asPlainText);
  const ends: number[] = [];
  let position = 0;
  let taken = 0;
  function* counted(): Generator<number> {
    for (const token of tokens) {
      taken += 1;
      yield token;
    }
  }
  for (const part of decodeGenerator(counted())) {
    // Tokens that made no character yet end where the last whole one did.
    while (ends.length < taken - 1) ends.push(position);
    position = Math.min(position + part.length, text.length);
    ends.push(position);
  }
  while (ends.length < tokens.length) ends.push(text.length);
  // What does not decode to itself (a byte order mark, half a surrogate pair) still ends with the text.
  ends[tokens.length - 1] = text.length;
  return ends.map((end) => wholeCharacterEnd(text, end));
}

/** The position itself, or one before it when it would split a surrogate pair. */
function wholeCharacterEnd(text: string, position: number): number {
  const isLowSurrogate = (text.charCodeAt(position) & 0xfc00) === 0xdc00;
  const followsHighSurrogate = (text.charCodeAt(position - 1) & 0xfc00) === 0xd800;
  return isLowSurrogate && followsHighSurrogate ? position - 1 : position;
}
