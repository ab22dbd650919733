import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../random.ts';
import { createSecretBox } from '../secret-box.ts';
import { createGivenSecrets, UnreadableReference } from './given-secrets.ts';
import { noSecretReferences, type SecretReferences } from './secret-references.ts';

const box = createSecretBox(systemRandom.bytes(32), systemRandom);
const held = new Map([['env:GATEHOUSE_SECRET_TEST', 'first']]);
const references: Pick<SecretReferences, 'objectionTo' | 'resolve'> = {
  objectionTo: (given, { isOwner }) => (given.startsWith('env:') && !isOwner ? 'is not yours to give' : null),
  resolve: async (reference) => held.get(reference) ?? noSecretReferences.resolve(reference),
};
const secrets = createGivenSecrets(box, references);
const owner = { isOwner: true, tenantId: 't1' };
const tenant = { isOwner: false, tenantId: 't1' };

describe('a secret as it was given', () => {
  it('is what is opened again, whatever it says, as long as it may be given', async () => {
    const odd = fc.oneof(
      fc.string(),
      fc.constantFrom('\0reference env:GATEHOUSE_SECRET_TEST', 'ENV:x', 'env'),
    );
    await fc.assert(
      fc.asyncProperty(odd, async (given) => {
        try {
          secrets.refuseForeign(given, 'secret', tenant);
        } catch {
          return;
        }
        expect(await secrets.open(await secrets.seal(given, 'p', 't1'), 'p', 't1')).toBe(given);
      }),
    );
    expect(() => secrets.refuseForeign('\0reference env:x', 'secret', owner)).toThrow(/control character/);
  });

  it('is not taken for a reference when it was sealed before there were any', async () => {
    const before = box.seal('env:GATEHOUSE_SECRET_TEST', 'p');
    expect(await secrets.open(before, 'p', 't1')).toBe('env:GATEHOUSE_SECRET_TEST');
  });

  it('is read where a reference leads each time, and refused with its field to whom it is not', async () => {
    const sealed = await secrets.seal('env:GATEHOUSE_SECRET_TEST', 'p', 't1');
    expect(await secrets.open(sealed, 'p', 't1')).toBe('first');
    held.set('env:GATEHOUSE_SECRET_TEST', 'second');
    expect(await secrets.open(sealed, 'p', 't1')).toBe('second');
    held.delete('env:GATEHOUSE_SECRET_TEST');
    await expect(secrets.open(sealed, 'p', 't1')).rejects.toThrow(UnreadableReference);
    await expect(secrets.open(sealed, 'other', 't1')).rejects.not.toThrow(UnreadableReference);
    expect(() => secrets.refuseForeign('env:GATEHOUSE_SECRET_TEST', 'secret', owner)).not.toThrow();
    expect(() => secrets.refuseForeign('env:GATEHOUSE_SECRET_TEST', 'secret', tenant)).toThrow(
      expect.objectContaining({
        code: 'invalid',
        errors: [{ path: 'secret', message: 'is not yours to give' }],
      }),
    );
  });

  it('may only be whole where no references are set up', () => {
    expect(() => createGivenSecrets(box).refuseForeign('file:/run/secrets/x', 'secret', owner)).toThrow(
      /references are not set up/,
    );
  });
});
