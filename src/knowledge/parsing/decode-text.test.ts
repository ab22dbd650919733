import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeText, firstInvalidUtf8 } from './decode-text.ts';
import { ParseFailure, type ParseFailureReason } from './parse-failure.ts';

function failureOf(
  bytes: Uint8Array,
  declaredType?: string,
): { reason: ParseFailureReason; message: string } {
  try {
    decodeText(bytes, declaredType);
  } catch (error) {
    if (error instanceof ParseFailure) return { reason: error.reason, message: error.message };
  }
  throw new Error('expected a ParseFailure');
}

describe('decodeText', () => {
  it('reads UTF-8 with and without a byte order mark', () => {
    expect(decodeText(Buffer.from('Grüße 漢字 😀'))).toBe('Grüße 漢字 😀');
    expect(decodeText(Buffer.from('\ufeffGrüße'))).toBe('Grüße');
  });

  it('reads UTF-16 of both orders when it is marked', () => {
    const little = Buffer.from('\ufeffGrüße 😀', 'utf16le');
    expect(decodeText(little)).toBe('Grüße 😀');
    expect(decodeText(Buffer.from(little).swap16())).toBe('Grüße 😀');
  });

  it('says where UTF-8 breaks', () => {
    const bytes = Buffer.concat([Buffer.from('first line\nGr'), Buffer.from([0xfc]), Buffer.from('sse')]);
    expect(failureOf(bytes)).toEqual({
      reason: 'invalid_encoding',
      message: expect.stringContaining('byte 0xFC at position 13 (line 2)') as string,
    });
  });

  it('believes a page or a declared type that names another encoding', () => {
    const latin = Buffer.from('<html><head><meta charset="windows-1252"></head>Gr\xfc\xdfe', 'latin1');
    expect(decodeText(latin)).toContain('Grüße');
    expect(decodeText(Buffer.from('Gr\xfc\xdfe', 'latin1'), 'text/plain; charset=ISO-8859-1')).toBe('Grüße');
    expect(failureOf(Buffer.from('Gr\xfc\xdfe', 'latin1'), 'text/plain; charset=no-such').reason).toBe(
      'invalid_encoding',
    );
  });

  it('refuses UTF-16 without a mark, broken UTF-16, UTF-32 and binary content', () => {
    expect(failureOf(Buffer.from('plain words', 'utf16le'))).toEqual({
      reason: 'invalid_encoding',
      message: expect.stringContaining('UTF-16 without a byte order mark') as string,
    });
    expect(failureOf(Buffer.from('\ufeffa\ud800b', 'utf16le')).reason).toBe('invalid_encoding');
    expect(failureOf(Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])).reason).toBe('invalid_encoding');
    const junk = Buffer.from(
      Array.from({ length: 4096 }, (_, index) => (index * index * 31 + index * 7) % 256),
    );
    expect(failureOf(junk).reason).toBe('binary_content');
  });
});

describe('firstInvalidUtf8', () => {
  it('agrees with Node about what is valid, and everything before it is', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 3 }), fc.string({ unit: 'binary' }))
        .map(([before, middle, after]) => Buffer.concat([Buffer.from(before), middle, Buffer.from(after)])),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        const at = firstInvalidUtf8(given);
        expect(at === given.length).toBe(isUtf8(given));
        expect(isUtf8(given.subarray(0, at))).toBe(true);
        for (let length = 1; at + length <= given.length && length <= 4; length += 1) {
          expect(isUtf8(given.subarray(at, at + length))).toBe(false);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
