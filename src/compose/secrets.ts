import { sealedPeopleColumns, sealedTokenKeys } from '../access/index.ts';
import { sealedAuditDestinations, sealedAuditKeys } from '../audit/index.ts';
import { sealedNotificationColumns } from '../notifications/index.ts';
import { createKeyring, createKeyringParts } from '../platform/keyring/index.ts';
import type { Secrets } from '../platform/secret-box.ts';
import { sealedProviderKeys } from '../routing/index.ts';
import type { Platform } from './platform.ts';

export type SecretsSection = ReturnType<typeof composeSecrets>;

/** Keys of stored secrets, and secrets that are kept elsewhere. */
export function composeSecrets(platform: Platform) {
  const { config, foundation, database, instances, instanceId, isEldest, clock, newId, random, log } =
    platform;
  const { references, ...keyringParts } = createKeyringParts({
    config: config.secrets,
    masterKeys: foundation.masterKeys,
    database,
    clock,
    random,
    log,
  });
  const keyring = createKeyring({
    ...keyringParts,
    columns: [
      sealedProviderKeys(database),
      ...sealedNotificationColumns(database),
      ...sealedPeopleColumns(database),
      sealedAuditKeys(database),
      sealedAuditDestinations(database),
      sealedTokenKeys(database),
    ],
    instanceId,
    live: instances.live,
    isEldest,
    newId,
  });
  /** By itself: a data key that is made for sealing must not be undone with the request that needed it. */
  const secretBox: Secrets = {
    seal: (...given) => database.apart(() => keyring.secrets.seal(...given)),
    open: (...given) => database.apart(() => keyring.secrets.open(...given)),
  };
  return { references, keyring, secretBox };
}
