import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../platform/random.ts';
import { hashKey, isWellFormedKey, newApiKey } from './api-key.ts';

describe('API keys', () => {
  it('have the prefix, an id, a secret and a checksum that holds', () => {
    const made = newApiKey(systemRandom);
    expect(made.key).toMatch(/^gh_[0-9A-Za-z]{50}$/);
    expect(made.key.slice(3, 15)).toBe(made.id);
    expect(isWellFormedKey(made.key)).toBe(true);
    expect(made.hash).toBe(hashKey(made.key));
  });

  it('a changed character is noticed without a look-up', () => {
    const { key } = newApiKey(systemRandom);
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: key.length - 1 }),
        fc.constantFrom('0', 'A', 'z'),
        (at, letter) => {
          const changed = key.slice(0, at) + letter + key.slice(at + 1);
          expect(isWellFormedKey(changed)).toBe(changed === key);
        },
      ),
    );
  });

  it('refuses anything of another form', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(isWellFormedKey(text)).toBe(false);
      }),
    );
  });
});
