import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from './random.ts';
import { createSecretBox } from './secret-box.ts';

const box = createSecretBox(Buffer.alloc(32, 7), systemRandom);

describe('secret box', () => {
  it('gives back what it sealed, and never the same sealing twice', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (secret, purpose) => {
        const sealed = box.seal(secret, purpose);
        expect(box.open(sealed, purpose)).toBe(secret);
        expect(box.seal(secret, purpose)).not.toBe(sealed);
      }),
    );
  });

  it('does not open for another purpose, another key, or after a change', () => {
    const sealed = box.seal('sk-test', 'provider:a');
    expect(() => box.open(sealed, 'provider:b')).toThrow(/changed/);
    expect(() => createSecretBox(Buffer.alloc(32, 8), systemRandom).open(sealed, 'provider:a')).toThrow(
      /master key/,
    );
    const [version, by, iv, body] = sealed.split('.');
    const bytes = Buffer.from(body ?? '', 'base64url');
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    expect(() => box.open([version, by, iv, bytes.toString('base64url')].join('.'), 'provider:a')).toThrow(
      /changed/,
    );
    expect(() => box.open('rubbish', 'provider:a')).toThrow();
  });

  it('does not open by a part of its tag, or in another spelling', () => {
    const [version, by, iv, tag = ''] = box.seal('', 'provider:a').split('.');
    for (let bytes = 0; bytes < 16; bytes++) {
      const part = Buffer.from(tag, 'base64url').subarray(0, bytes).toString('base64url');
      expect(() => box.open([version, by, iv, part].join('.'), 'provider:a')).toThrow();
    }
    expect(() => box.open([version, by, iv, `${tag}=`].join('.'), 'provider:a')).toThrow(/changed/);
    expect(box.open([version, by, iv, tag].join('.'), 'provider:a')).toBe('');
  });
});
