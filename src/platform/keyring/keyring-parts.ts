import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import type { Log } from '../log.ts';
import type { Random } from '../random.ts';
import { createSecretReferences } from '../secret-references/index.ts';
import type { SecretsConfig } from '../secrets-settings.ts';
import { createAwsKms } from './aws-kms.ts';
import type { KeyEncryption } from './key-encryption.ts';
import { createKeyringStore } from './keyring.store.ts';
import { createLocalKeys } from './local-keys.ts';
import type { MasterKeys } from './master-keys.ts';
import { createVaultClient, type VaultClient } from './vault-client.ts';
import { createVaultTransit } from './vault-transit.ts';

/** What the configuration makes of a keyring, and what reads secrets that are kept elsewhere: both may ask Vault. */
export function createKeyringParts(deps: {
  readonly config: SecretsConfig;
  readonly masterKeys: MasterKeys;
  readonly database: Pick<Database, 'platform' | 'apart'>;
  readonly clock: Clock;
  readonly random: Pick<Random, 'bytes'>;
  readonly log: Log;
}) {
  const { config, masterKeys, database, clock, random, log } = deps;
  const vault = config.vault && createVaultClient(config.vault);
  const all = [createLocalKeys({ masterKeys, random }), ...remoteEngines(config, clock, vault)];
  const chosen = all.find(({ engine }) => engine === config.engine);
  // The configuration was checked: whoever names an engine has set it up.
  if (!chosen) throw new Error(`there is no engine ${config.engine}`);
  const engines: readonly [KeyEncryption, ...KeyEncryption[]] = [
    chosen,
    ...all.filter((one) => one !== chosen),
  ];
  return {
    store: createKeyringStore(database),
    apart: database.apart,
    engines,
    masterKeys,
    clock,
    random,
    log,
    outageMs: config.outageMs,
    rotateAfterMs: config.rotateAfterMs,
    references: createSecretReferences({
      variables: config.variables,
      directories: config.directories,
      vault,
      clock,
      log,
    }),
  };
}

/** The services that are set up to hold key-encryption keys. */
export function remoteEngines(
  config: SecretsConfig,
  clock: Pick<Clock, 'now'>,
  vault: VaultClient | null = config.vault && createVaultClient(config.vault),
): KeyEncryption[] {
  const transit =
    vault && config.vault?.transitKey
      ? [createVaultTransit(vault, { mount: config.vault.transitMount, key: config.vault.transitKey })]
      : [];
  return [...transit, ...(config.kms ? [createAwsKms(config.kms, clock)] : [])];
}
