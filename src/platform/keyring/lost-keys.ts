import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { contextOf } from './data-keys.ts';
import { KeyEncryptionError } from './key-encryption.ts';
import type { KeyEngines } from './key-engines.ts';
import type { KeyringStore } from './keyring.store.ts';
import { fingerprintOf, missingKey } from './local-keys.ts';
import type { MasterKeys } from './master-keys.ts';

/**
 * Tries a data key of each key-encryption key in use. A service that does not answer may answer later, and one that
 * refuses may mean to, and so may a customer whose own key is gone: that is said and does no harm. A master key that is not there is a mistake, and the start ends.
 * @throws AppError `config_invalid`.
 */
export async function refuseLostKeys(deps: {
  readonly store: Pick<KeyringStore, 'fingerprint' | 'putFingerprint' | 'oneOfEachKek'>;
  readonly engines: KeyEngines;
  readonly masterKeys: MasterKeys;
  readonly clock: { now(): Date };
  readonly log: Log;
}): Promise<void> {
  const known = deps.masterKeys.keys().map(fingerprintOf);
  const recorded = await deps.store.fingerprint();
  if (recorded !== null && !known.includes(recorded))
    throw new AppError('config_invalid', missingKey(`local:${recorded}`));
  for (const row of await deps.store.oneOfEachKek()) {
    const kekId = row.kek_id;
    try {
      const engine = await deps.engines.unwrapping(kekId, row.tenant_id);
      (await engine.unwrap({ wrapped: row.wrapped, kekId }, contextOf(row))).fill(0);
    } catch (error) {
      if (!(error instanceof KeyEncryptionError)) throw error;
      // A customer's key that is gone closes what is that customer's, and keeps nobody else from starting.
      const isCustomers = row.customer_kek !== null || (await deps.engines.isCustomers(kekId, row.tenant_id));
      if (error.trouble === 'unknown' && !isCustomers)
        throw new AppError('config_invalid', error.message, { cause: error });
      deps.log.error({ err: error, kek: kekId }, 'stored secrets cannot be opened for now');
    }
  }
  const [first] = known;
  if (recorded === null && first) await deps.store.putFingerprint(first, deps.clock.now());
}
