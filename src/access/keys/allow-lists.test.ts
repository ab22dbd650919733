import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressList, refuseBadRanges } from './address-list.ts';
import { modelList, refuseBadPatterns } from './model-list.ts';

describe('a list of addresses', () => {
  it.each([
    ['192.0.2.7', true],
    ['::ffff:192.0.2.7', true],
    ['192.0.3.7', false],
    ['2001:db8:1::9', true],
    ['2001:DB8:1:0::9', true],
    ['2001:db8:2::9', false],
    ['198.51.100.4', true],
    ['198.51.100.5', false],
    ['unknown', false],
    ['', false],
  ])('has %s: %s', (address, has) => {
    expect(addressList(['192.0.2.0/24', '2001:db8:1::/48', '198.51.100.4'])?.has(address)).toBe(has);
  });

  it('is none when it is empty, and holds nothing where it cannot be read', () => {
    expect(addressList([])).toBeUndefined();
    expect(addressList(['not an address'])?.has('192.0.2.7')).toBe(false);
  });

  it.each(['10.0.0.0/33', '10.0.0', 'example.org', '::/129', '', '10.0.0.0/-1'])(
    'cannot hold %j',
    (range) => {
      expect(() => refuseBadRanges(['10.0.0.0/8', range], 'ip_allow_list')).toThrow(
        expect.objectContaining({
          code: 'invalid',
          errors: [expect.objectContaining({ path: 'ip_allow_list.1' })],
        }),
      );
    },
  );
});

describe('a list of models', () => {
  it.each([
    ['fast', true],
    ['faster', false],
    ['openai/gpt-4o', true],
    ['openai/gpt-4o-mini', true],
    ['azure/gpt-4o', false],
    ['anthropic/claude-haiku-x', true],
    ['anthropic/claude-opus', false],
  ])('has %s: %s', (name, has) => {
    expect(modelList(['fast', 'openai/*', 'anthropic/*haiku*'])?.has(name)).toBe(has);
  });

  it('matches as the same pattern written as a regular expression does', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 2, maxLength: 5 }),
        fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 9 }),
        (pieces, name) => {
          const expected = new RegExp(`^${pieces.join('.*')}$`).test(name);
          expect(modelList([pieces.join('*')])?.has(name)).toBe(expected);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it.each(['', 'a b', '*****', 'x\u0000', 'ä'])('cannot hold %j', (pattern) => {
    expect(() => refuseBadPatterns([pattern], 'model_allow_list')).toThrow(
      expect.objectContaining({ errors: [expect.objectContaining({ path: 'model_allow_list.0' })] }),
    );
  });
});
