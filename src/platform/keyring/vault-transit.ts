import { z } from 'zod';
import { type KeyEncryption, KeyEncryptionError, tryOut, type WrappedKey } from './key-encryption.ts';
import { type VaultClient, VaultError } from './vault-client.ts';

const keyReply = z.object({ latest_version: z.number().int().positive() });
const ciphertextReply = z.object({ ciphertext: z.string() });
const plaintextReply = z.object({ plaintext: z.string() });

/**
 * A key in Vault's Transit engine (https://developer.hashicorp.com/vault/api-docs/secret/transit), of type aes256-gcm96:
 * it never leaves Vault, and whoever administers Vault can withdraw it. The id ends in the key's version there.
 */
export function createVaultTransit(
  vault: VaultClient,
  at: { readonly mount: string; readonly key: string },
): KeyEncryption {
  const name = `vault:${at.mount}/${at.key}`;
  const version = (wrapped: string) => /^vault:v(\d+):/.exec(wrapped)?.[1] ?? '0';
  const wrappedAs = (ciphertext: string): WrappedKey => ({
    wrapped: ciphertext,
    kekId: `${name}#${version(ciphertext)}`,
  });

  const call = async <T>(
    method: 'GET' | 'POST',
    operation: string,
    reply: z.ZodType<T>,
    kekId: string,
    body?: object,
  ): Promise<T> => {
    try {
      return reply.parse(await vault.call(method, `${at.mount}/${operation}`, body));
    } catch (cause) {
      if (cause instanceof VaultError)
        throw new KeyEncryptionError(cause.trouble, kekId, cause.message, cause);
      throw new KeyEncryptionError(
        'refused',
        kekId,
        `Vault answered ${operation} in a form that is not Transit's.`,
        cause,
      );
    }
  };
  const own = (kekId: string) => {
    if (kekId.replace(/#\d+$/, '') === name) return;
    throw new KeyEncryptionError(
      'unknown',
      kekId,
      `Stored secrets need the key ${kekId}, and this instance is set up for ${name}. Set GATEHOUSE_VAULT_TRANSIT_MOUNT and GATEHOUSE_VAULT_TRANSIT_KEY as they were. Nothing was changed.`,
    );
  };
  const bound = (context: string) => ({ associated_data: Buffer.from(context, 'utf8').toString('base64') });

  const engine: KeyEncryption = {
    engine: 'vault',
    async currentKeyId() {
      const { latest_version } = await call('GET', `keys/${at.key}`, keyReply, name);
      return `${name}#${latest_version}`;
    },
    knownKeyIds: async () => [name],
    async wrap(dataKey, context) {
      const body = { plaintext: dataKey.toString('base64'), ...bound(context) };
      return wrappedAs((await call('POST', `encrypt/${at.key}`, ciphertextReply, name, body)).ciphertext);
    },
    async unwrap({ wrapped, kekId }, context) {
      own(kekId);
      const body = { ciphertext: wrapped, ...bound(context) };
      const { plaintext } = await call('POST', `decrypt/${at.key}`, plaintextReply, kekId, body);
      return dataKeyFrom(plaintext, kekId);
    },
    // Not Transit's own rewrap: unlike encrypt and decrypt, it does not document taking associated data.
    async rewrap(wrapped, context) {
      const dataKey = await engine.unwrap(wrapped, context);
      try {
        return await engine.wrap(dataKey, context);
      } finally {
        dataKey.fill(0);
      }
    },
    async makeKey() {
      await call('POST', `keys/${at.key}/rotate`, z.unknown(), name, {});
      return engine.currentKeyId();
    },
    health: () => tryOut(engine),
    withKey: (other) => {
      const slash = other.lastIndexOf('/');
      return createVaultTransit(vault, { mount: other.slice(0, slash), key: other.slice(slash + 1) });
    },
  };
  return engine;
}

/** @throws KeyEncryptionError when it is not 32 bytes in base64. */
export function dataKeyFrom(base64: string, kekId: string): Buffer {
  const key = Buffer.from(base64, 'base64');
  if (key.length === 32) return key;
  throw new KeyEncryptionError('refused', kekId, `${kekId} gave back something that is no data key.`);
}
