import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from './entry.ts';
import { decodeEntry, encodeEntry } from './entry-bytes.ts';

const entries: fc.Arbitrary<Entry> = fc.record({
  kind: fc.constantFrom('model', 'knowledge', 'embedding'),
  key: fc.constant('a'.repeat(64)),
  body: fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  facts: fc.string(),
  tags: fc.array(fc.string({ minLength: 1 }), { maxLength: 5 }),
  costNanoUsd: fc.option(fc.bigInt({ min: 0n, max: 10n ** 20n })),
  storedAtMs: fc.nat(),
  expiresAtMs: fc.nat(),
  staleUntilMs: fc.nat(),
  computeMs: fc.nat(),
});

describe('an entry as one value', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeEntry('tenant', entry.key, encodeEntry('tenant', entry))).toEqual(entry);
      }),
    );
  });

  it('is nothing for another tenant or key, and never an error when bytes are missing or changed', () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.nat(255), (entry, at, byte) => {
        const value = encodeEntry('tenant', entry);
        expect(decodeEntry('other', entry.key, value)).toBeNull();
        expect(decodeEntry('tenant', 'b'.repeat(64), value)).toBeNull();
        decodeEntry('tenant', entry.key, value.subarray(0, at % value.length));
        const changed = Buffer.from(value);
        changed[at % changed.length] = byte;
        decodeEntry('tenant', entry.key, changed);
      }),
    );
  });
});
