import { AppError } from '../errors.ts';
import type { Random } from '../random.ts';
import { createSecretBox, type Secrets } from '../secret-box.ts';
import type { DataKeys } from './data-keys.ts';
import { KeyEncryptionError } from './key-encryption.ts';
import { fingerprintOf, missingKey } from './local-keys.ts';
import type { MasterKeys } from './master-keys.ts';
import { dataKeyIdOf, openValue, sealValue } from './sealed-value.ts';

/** Seals under the tenant's data key, and opens that and what the version before sealed. */
export function createKeyringSecrets(deps: {
  readonly dataKeys: DataKeys;
  readonly masterKeys: MasterKeys;
  readonly random: Pick<Random, 'bytes'>;
  /** Whether every instance could open what a data key seals; until then the form of the version before is used. */
  readonly envelopeBegan: () => boolean;
}) {
  const { dataKeys, masterKeys, random } = deps;

  const masterKeyOf = (fingerprint: string | undefined): Buffer => {
    const find = () => masterKeys.keys().find((key) => fingerprintOf(key) === fingerprint);
    let found = find();
    if (!found) {
      masterKeys.reload();
      found = find();
    }
    if (found) return found;
    const kekId = `local:${fingerprint}`;
    throw new KeyEncryptionError('unknown', kekId, missingKey(kekId));
  };

  const secrets = {
    async seal(secret: string, purpose: string, tenantId: string | null): Promise<string> {
      if (!deps.envelopeBegan()) {
        const [masterKey] = masterKeys.keys();
        if (!masterKey) throw new Error('a keyring is never empty');
        return createSecretBox(masterKey, random).seal(secret, purpose);
      }
      const dataKey = await dataKeys.current(tenantId);
      return sealValue(dataKey.bytes(), secret, { dataKeyId: dataKey.id, tenantId, purpose }, random);
    },

    async open(sealed: string, purpose: string, tenantId: string | null): Promise<string> {
      if (sealed.startsWith('v1.')) {
        return createSecretBox(masterKeyOf(sealed.split('.')[1]), random).open(sealed, purpose);
      }
      const dataKeyId = dataKeyIdOf(sealed);
      if (dataKeyId === null) throw unreadable('it is not in a form this version knows');
      const dataKey = await dataKeys.byId(dataKeyId);
      if (dataKey === null) {
        throw unreadable('the data key that sealed it is gone; restore the table data_keys from a backup');
      }
      if (dataKey.tenantId !== tenantId) throw unreadable('it was sealed for another tenant');
      try {
        return openValue(dataKey.bytes(), sealed, { dataKeyId, tenantId, purpose });
      } catch (cause) {
        if (cause instanceof KeyEncryptionError) throw cause;
        throw unreadable('it was changed or moved since it was stored', cause);
      }
    },
  } satisfies Secrets;
  return secrets;
}

function unreadable(why: string, cause?: unknown): AppError {
  return new AppError(
    'dependency_down',
    `A stored secret cannot be opened: ${why}. Bring back what is missing, or store the secret again.`,
    cause === undefined ? {} : { cause },
  );
}
