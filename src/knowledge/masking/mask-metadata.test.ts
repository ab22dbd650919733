import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keptMetadata, maskedValue, shownMetadata } from './mask-metadata.ts';

const fields = ['salary', 'department', 'region', 'note'];
const metadata = fc.dictionary(fc.constantFrom(...fields), fc.oneof(fc.string(), fc.integer(), fc.boolean()));
const masked = fc.subarray(fields);

describe('masking', () => {
  it('shows which members there are and, of those that are masked, nothing else', () => {
    fc.assert(
      fc.property(metadata, metadata, masked, (one, other, hidden) => {
        const shown = shownMetadata(one, hidden);
        expect(Object.keys(shown).sort()).toEqual(Object.keys(one).sort());
        for (const [field, value] of Object.entries(shown)) {
          expect(value).toBe(hidden.includes(field) ? maskedValue : one[field]);
        }
        // Whatever stands in the masked members, the same is shown.
        const twin = { ...one };
        for (const field of hidden) if (field in one) twin[field] = other[field] ?? 'else';
        expect(shownMetadata(twin, hidden)).toEqual(shown);
      }),
    );
  });

  it('keeps what the sender could not read, and what was shown sent back changes nothing', () => {
    fc.assert(
      fc.property(metadata, metadata, masked, (current, wanted, hidden) => {
        const kept = keptMetadata(current, wanted, hidden);
        for (const field of fields) {
          expect(kept[field]).toEqual(hidden.includes(field) ? current[field] : wanted[field]);
        }
        expect(keptMetadata(current, shownMetadata(current, hidden), hidden)).toEqual({ ...current });
      }),
    );
  });
});
