import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../random.ts';
import { dataKeyIdOf, openValue, sealValue } from './sealed-value.ts';

const key = Buffer.alloc(32, 5);
const under = {
  dataKeyId: '01920000-0000-7000-8000-00000000000a',
  tenantId: 'tenant-a',
  purpose: 'provider:1',
};
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=';

/** A busy machine may take long; what is tested is not how long. */
const withinMs = 60_000;

describe('a sealed value', { timeout: withinMs }, () => {
  it('gives back what was sealed, and never looks the same twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (secret, purpose) => {
        const place = { ...under, purpose };
        const sealed = sealValue(key, secret, place, systemRandom);
        expect(openValue(key, sealed, place)).toBe(secret);
        expect(sealValue(key, secret, place, systemRandom)).not.toBe(sealed);
        expect(dataKeyIdOf(sealed)).toBe(under.dataKeyId);
      }),
    );
  });

  it('does not open when any one character is another, is gone, or is added', () => {
    const change = fc.record({
      at: fc.nat(),
      by: fc.constantFrom(...alphabet),
      how: fc.constantFrom('replace', 'remove', 'insert'),
    });
    fc.assert(
      fc.property(fc.string(), change, (secret, { at, by, how }) => {
        const sealed = sealValue(key, secret, under, systemRandom);
        const place = at % sealed.length;
        const changed =
          sealed.slice(0, place) +
          (how === 'remove' ? '' : by) +
          sealed.slice(how === 'insert' ? place : place + 1);
        fc.pre(changed !== sealed);
        expect(() => openValue(key, changed, under)).toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it('does not open for another tenant, purpose, data key id or key', () => {
    const sealed = sealValue(key, 'sk-test', under, systemRandom);
    expect(() => openValue(key, sealed, { ...under, tenantId: 'tenant-b' })).toThrow();
    expect(() => openValue(key, sealed, { ...under, tenantId: null })).toThrow();
    expect(() => openValue(key, sealed, { ...under, purpose: 'provider:2' })).toThrow();
    expect(() => openValue(Buffer.alloc(32, 6), sealed, under)).toThrow();
    const otherId = under.dataKeyId.replace(/a$/, 'b');
    const renamed = sealed.replace(under.dataKeyId, otherId);
    expect(() => openValue(key, renamed, { ...under, dataKeyId: otherId })).toThrow();
  });

  it('does not confuse a purpose with a tenant', () => {
    const sealed = sealValue(key, 'sk-test', { ...under, tenantId: 'a', purpose: 'b","c' }, systemRandom);
    expect(() => openValue(key, sealed, { ...under, tenantId: 'a","b', purpose: 'c' })).toThrow();
  });
});
