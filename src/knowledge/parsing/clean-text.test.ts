import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanText } from './clean-text.ts';

describe('cleanText', () => {
  it('leaves nothing that PostgreSQL or an offset would stumble over, and changes nothing the second time', () => {
    const noisy = fc.string({
      unit: fc.oneof(fc.constantFrom('\r', '\n', '\0', '\ud800', '\udc00', '\f'), fc.string()),
    });
    fc.assert(
      fc.property(noisy, (text) => {
        const clean = cleanText(text);
        expect(clean).not.toMatch(/[\0\r\f\v\u0085\u2028\u2029]/);
        expect(clean.isWellFormed()).toBe(true);
        expect(cleanText(clean)).toBe(clean);
      }),
    );
  });

  it('keeps text that is already clean exactly as it is, decomposed letters included', () => {
    const text = '  A line\twith tabs \n\n\ncafe\u0301 and café, 漢字 😀 \n';
    expect(cleanText(text)).toBe(text);
  });

  it('ends every kind of line with one newline and drops the byte order mark', () => {
    expect(cleanText('\ufeffa\r\nb\rc\u2028d\fe')).toBe('a\nb\nc\nd\ne');
  });
});
