import { createHmac, hkdfSync } from 'node:crypto';
import type { Random } from '../random.ts';
import { decrypt, encrypt } from './gcm.ts';
import { type KeyEncryption, KeyEncryptionError, tryOut } from './key-encryption.ts';
import type { MasterKeys } from './master-keys.ts';

/** Tells one master key from another without telling anything about it: 16 hex characters. */
export function fingerprintOf(masterKey: Buffer): string {
  return createHmac('sha256', masterKey).update('gatehouse master key').digest('hex').slice(0, 16);
}

export const localKeyId = (masterKey: Buffer): string => `local:${fingerprintOf(masterKey)}`;

/** Keys of the operator's own: nothing else need run, and nobody but the operator can revoke one. */
export function createLocalKeys(deps: {
  readonly masterKeys: MasterKeys;
  readonly random: Pick<Random, 'bytes'>;
}): KeyEncryption {
  const { masterKeys, random } = deps;
  /** What wraps is derived (HKDF-SHA-256, RFC 5869), so that the master key itself serves one algorithm only. */
  const wrappingKey = (masterKey: Buffer) =>
    Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), 'gatehouse key encryption', 32));
  const find = (kekId: string) => masterKeys.keys().find((key) => localKeyId(key) === kekId);
  const current = (): Buffer => {
    const [first] = masterKeys.keys();
    if (!first) throw new Error('a keyring is never empty');
    return first;
  };

  const engine: KeyEncryption = {
    engine: 'local',
    currentKeyId: async () => localKeyId(current()),
    async knownKeyIds() {
      masterKeys.reload();
      return [...new Set(masterKeys.keys().map(localKeyId))];
    },
    async wrap(dataKey, context) {
      const masterKey = current();
      const kekId = localKeyId(masterKey);
      return { kekId, wrapped: encrypt(wrappingKey(masterKey), dataKey, boundTo(kekId, context), random) };
    },
    async unwrap({ wrapped, kekId }, context) {
      // Another instance may have made it an instant ago, or an operator may have taken it away.
      masterKeys.reload();
      const masterKey = find(kekId);
      if (!masterKey) throw new KeyEncryptionError('unknown', kekId, missingKey(kekId));
      try {
        return decrypt(wrappingKey(masterKey), wrapped, boundTo(kekId, context));
      } catch (cause) {
        throw new KeyEncryptionError(
          'refused',
          kekId,
          'A data key cannot be unwrapped: it was changed since it was stored. Restore the table data_keys from a backup.',
          cause,
        );
      }
    },
    async rewrap(wrapped, context) {
      const dataKey = await engine.unwrap(wrapped, context);
      try {
        return await engine.wrap(dataKey, context);
      } finally {
        dataKey.fill(0);
      }
    },
    async makeKey(everyoneHas) {
      const { file } = masterKeys;
      if (file === null) return null;
      const made = random.bytes(32);
      file.append(made);
      try {
        await everyoneHas(localKeyId(made));
      } catch (error) {
        file.remove(made);
        throw error;
      }
      file.promote(made);
      return localKeyId(made);
    },
    health: () => tryOut(engine),
  };
  return engine;
}

/** What an operator has to be told when a master key is not there. */
export function missingKey(kekId: string): string {
  const fingerprint = kekId.slice('local:'.length);
  return `The master key with the fingerprint ${fingerprint} is missing, and stored secrets were sealed with it. Start with it as GATEHOUSE_MASTER_KEY, add it to GATEHOUSE_MASTER_KEYS_OLD, or put its line back into the keyring file. Nothing was changed.`;
}

const boundTo = (kekId: string, context: string) =>
  JSON.stringify(['gatehouse data key', 'v1', kekId, context]);
