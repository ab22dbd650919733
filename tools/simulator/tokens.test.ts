import fc from 'fast-check';
import { countTokens as countByLibrary } from 'gpt-tokenizer/encoding/o200k_base';
import { expect, test } from 'vitest';
import { countTokens, firstTokens, textPieces, tokenEnds } from './tokens.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

test('ordinary texts count as their o200k tokens', () => {
  const text = 'Refunds are paid within 5 working days — naïve café 返金.';
  expect(countTokens(text)).toBe(countByLibrary(text));
});

test('spellings of special tokens are ordinary text', () => {
  expect(countTokens('<|endoftext|>')).toBeGreaterThan(1);
});

test('beyond the exact part, four characters begun are one token', () => {
  const exact = 'word '.repeat(52_429).slice(0, 262_144);
  expect(countTokens(`${exact}${'x'.repeat(4_001)}`)).toBe(countTokens(exact) + 1_001);
});

test('pieces joined are the text, whatever the text and their size', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 7 }), (text, size) => {
      const pieces = textPieces(text, tokenEnds(text), size);
      expect(pieces.join('')).toBe(text);
      expect(pieces.every((piece) => piece !== '' && piece.isWellFormed())).toBe(true);
    }),
  );
});

test('a text has as many token ends as tokens, the last at its end', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const ends = tokenEnds(text);
      expect(ends).toHaveLength(countTokens(text));
      expect(ends.at(-1) ?? 0).toBe(text.length);
      expect(ends).toEqual(ends.toSorted((left, right) => left - right));
    }),
  );
});

test('the first tokens are the words they stand for, and never half a character', () => {
  const text = 'Refunds take five days 👩‍👩‍👧.';
  const ends = tokenEnds(text);
  const starts = ends.map((_, index) => firstTokens(text, ends, index));
  expect(starts.slice(0, 4)).toEqual(['', 'Refund', 'Refunds', 'Refunds take']);
  expect(starts.every((start) => start.isWellFormed())).toBe(true);
  expect(firstTokens(text, ends, 1_000)).toBe(text);
});

test('long texts are cut into slices without splitting characters', () => {
  const text = `x${'👩'.repeat(9_000)}`;
  const ends = tokenEnds(text);
  expect(ends).toHaveLength(countTokens(text));
  expect(textPieces(text, ends, 1).every((piece) => piece.isWellFormed())).toBe(true);
});
