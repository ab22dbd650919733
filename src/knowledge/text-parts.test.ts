import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sliceOf, textParts } from './text-parts.ts';

const texts = fc.string({ unit: fc.constantFrom('a', 'ß', '\n', '😀', '𠮷'), maxLength: 60 });
const lengths = fc.integer({ min: 2, max: 9 });

test('parts join to the text, follow one another, and never split a character', () => {
  fc.assert(
    fc.property(texts, lengths, (text, length) => {
      const parts = [...textParts(text, length)];
      expect(parts.map((part) => part.text).join('')).toBe(text);
      let at = 0;
      for (const part of parts) {
        expect(part.start).toBe(at);
        expect(part.end - part.start).toBe(part.text.length);
        expect(part.text.length).toBeGreaterThan(0);
        expect(part.text.length).toBeLessThanOrEqual(length);
        expect(part.text.isWellFormed()).toBe(true);
        at = part.end;
      }
    }),
  );
});

test('a slice of the parts equals the slice of the text, in whatever order the parts come', () => {
  fc.assert(
    fc.property(texts, lengths, fc.nat(130), fc.nat(130), (text, length, start, end) => {
      const parts = [...textParts(text, length)].reverse();
      const inside = start < end && end <= text.length;
      expect(sliceOf(parts, start, end)).toBe(inside ? text.slice(start, end) : null);
    }),
  );
});

test('a gap between parts is no slice', () => {
  const [first, , third] = [...textParts('abcdef', 2)];
  if (!first || !third) throw new Error('three parts expected');
  expect(sliceOf([first, third], 0, 6)).toBeNull();
  expect(sliceOf([first, third], 4, 6)).toBe('ef');
});
