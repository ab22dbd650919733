import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { deflateBomb, makeZip } from '../../../test/files/make-zip.ts';
import { ParseFailure, type ParseFailureReason } from './parse-failure.ts';
import { openZip } from './zip-archive.ts';

const MEBIBYTE = 1024 * 1024;
const limits = { unpackedBytes: 8 * MEBIBYTE, unpackRatio: 200, archiveEntries: 100 };

function reasonOf(act: () => unknown): ParseFailureReason {
  try {
    act();
  } catch (error) {
    if (error instanceof ParseFailure) return error.reason;
    throw error;
  }
  throw new Error('expected a ParseFailure');
}

describe('openZip', () => {
  it('reads what another implementation has written, packed or not', () => {
    const files = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?$/),
      fc.uint8Array({ maxLength: 500 }),
      {
        maxKeys: 8,
        noNullPrototype: true,
      },
    );
    fc.assert(
      fc.property(files, fc.constantFrom(0 as const, 6 as const), (given, level) => {
        const archive = openZip(zipSync(given, { level }), limits);
        expect([...archive.names].sort()).toEqual(Object.keys(given).sort());
        for (const [name, content] of Object.entries(given))
          expect(Uint8Array.from(archive.read(name))).toEqual(content);
      }),
    );
  });

  it('refuses an archive that says it unpacks to too much', () => {
    const bomb = makeZip([
      { name: 'a', content: deflateBomb(9, ' '), deflated: true, claimedBytes: 9 * MEBIBYTE },
    ]);
    expect(reasonOf(() => openZip(bomb, limits))).toBe('decompression_limit');
  });

  it('stops unpacking an entry whose header lies', () => {
    const bomb = makeZip([{ name: 'a', content: deflateBomb(500, ' '), deflated: true, claimedBytes: 10 }]);
    const archive = openZip(bomb, limits);
    expect(reasonOf(() => archive.read('a'))).toBe('decompression_limit');
  });

  it('counts all entries together', () => {
    const random = Buffer.from(
      Array.from({ length: 3 * MEBIBYTE }, (_, index) => (index * 7919 + (index >> 3)) % 251),
    );
    const entries = ['a', 'b', 'c'].map((name) => ({ name, content: random, claimedBytes: 10 }));
    const archive = openZip(makeZip(entries), { ...limits, unpackRatio: 1e9 });
    archive.read('a');
    archive.read('b');
    expect(reasonOf(() => archive.read('c'))).toBe('decompression_limit');
  });

  it('refuses too many entries and encrypted ones', () => {
    const many = Array.from({ length: 101 }, (_, index) => ({ name: `f${index}`, content: '' }));
    expect(reasonOf(() => openZip(makeZip(many), limits))).toBe('decompression_limit');
    expect(reasonOf(() => openZip(makeZip([{ name: 'a', content: 'x', encrypted: true }]), limits))).toBe(
      'encrypted',
    );
  });

  it('gives a reason for an archive cut or flipped anywhere', () => {
    const whole = makeZip([
      { name: 'one', content: 'some content that is packed' },
      { name: 'two', content: 'more of it' },
    ]);
    const read = (bytes: Buffer) => {
      const archive = openZip(bytes, limits);
      for (const name of archive.names) archive.read(name);
    };
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        expect(reasonOf(() => read(whole.subarray(0, at)))).toBe('truncated_or_corrupt');
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] ?? 0) ^ flip;
        try {
          read(flipped);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseFailure);
        }
      }),
    );
  });
});
