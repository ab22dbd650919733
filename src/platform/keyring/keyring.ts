import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { NewId } from '../ids.ts';
import type { Log } from '../log.ts';
import type { Random } from '../random.ts';
import type { Secrets } from '../secret-box.ts';
import { createCustomerKeys } from './customer-keys.ts';
import { createDataKeys } from './data-keys.ts';
import { createHolders } from './holders.ts';
import type { EngineName, KeyEncryption, KeyHealth } from './key-encryption.ts';
import { createKeyEngines, withoutVersion } from './key-engines.ts';
import type { DataKeyCounts, KekUse, KeyringStore } from './keyring.store.ts';
import { createKeyringSecrets } from './keyring-secrets.ts';
import { refuseLostKeys } from './lost-keys.ts';
import type { MasterKeys } from './master-keys.ts';
import { rotationDue } from './rotation-due.ts';
import type { SealedColumn } from './sealed-columns.ts';
import { createUpkeep } from './upkeep.ts';

export interface KeyringDependencies {
  readonly store: KeyringStore;
  /** The first one wraps data keys; the others still unwrap what they wrapped. */
  readonly engines: readonly [KeyEncryption, ...KeyEncryption[]];
  readonly masterKeys: MasterKeys;
  /** Everything that is sealed. */
  readonly columns: readonly SealedColumn[];
  readonly instanceId: string;
  /** Ids of all instances that live. */
  readonly live: () => readonly string[];
  /** Whether this is the one that does what one of several has to do. */
  readonly isEldest: () => boolean;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
  readonly log: Log;
  /** Runs work outside of whatever transaction the caller is in: keys outlive a request that is undone. */
  readonly apart: <T>(work: () => T) => T;
  /** How long secrets stay open while the engine of their key cannot be reached, milliseconds. */
  readonly outageMs: number;
  /** After so long keys are due to be rotated, milliseconds. */
  readonly rotateAfterMs: number;
}

/** What is to be rotated. */
export interface Rotation {
  readonly dataKeys: boolean;
  readonly keyEncryptionKey: boolean;
}

export interface KeyringStatus {
  readonly engine: EngineName;
  /** Null when the engine does not say. */
  readonly currentKekId: string | null;
  readonly health: KeyHealth;
  readonly keks: readonly (KekUse & { readonly isCurrent: boolean })[];
  readonly dataKeys: DataKeyCounts;
  /** Stored secrets that a current data key did not seal yet, by place. */
  readonly toReseal: readonly { readonly name: string; readonly values: number }[];
  readonly envelopeBegan: boolean;
  readonly nextRotationAt: Date | null;
}

export type Keyring = ReturnType<typeof createKeyring>;

/**
 * Keys of stored secrets: a data key for each tenant and one for the platform, wrapped by a key-encryption key that is
 * never in the database. What is to be re-wrapped or sealed anew is read off the database, so a rotation that was cut
 * short goes on by itself, on any instance.
 */
export function createKeyring(deps: KeyringDependencies) {
  const { store, clock, log } = deps;
  const [engine] = deps.engines;
  const engines = createKeyEngines(deps.engines);
  const dataKeys = createDataKeys({ ...deps, engines });
  const holders = createHolders(deps);
  const secrets = createKeyringSecrets({ ...deps, dataKeys, envelopeBegan: holders.envelopeBegan });
  const listeners: (() => void)[] = [];
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const customers = createCustomerKeys({
    ...deps,
    engines,
    dataKeys,
    envelopeBegan: holders.envelopeBegan,
  });
  const upkeep = createUpkeep({ ...deps, dataKeys, holders, secrets, changed });

  const makeKek = async (): Promise<string | null> => {
    if (engine.engine === 'local' && deps.masterKeys.file?.isShared === false && deps.live().length > 1) {
      throw new AppError(
        'conflict',
        'Several instances serve, and each reads a master.key of its own. Give all of them one file (GATEHOUSE_KEYRING_FILE), or rotate by GATEHOUSE_MASTER_KEY and GATEHOUSE_MASTER_KEYS_OLD (docs/secrets.md).',
      );
    }
    const made = await store.makingKeys(async () => ({ kekId: await engine.makeKey(holders.everyoneHas) }));
    if (made === null)
      throw new AppError('conflict', 'Another rotation is under way. Try again in a minute.');
    await holders.say();
    return made.kekId;
  };

  const rotate = async (what: Rotation): Promise<void> => {
    if (!holders.envelopeBegan()) {
      throw new AppError(
        'conflict',
        'An instance of the version before still serves, and could not read what new keys seal. Rotate when all instances run this version.',
      );
    }
    if (what.keyEncryptionKey && (await makeKek()) === null) {
      const current = await engine.currentKeyId();
      const uses = await store.kekUses();
      if (!what.dataKeys && uses.every(({ kekId }) => kekId === current))
        throw operatorMakesKeys(engine.engine);
    }
    if (what.dataKeys) await upkeep.supersedeAll(clock.now());
    upkeep.hurry();
  };

  const keyring = {
    secrets: {
      seal: (...given) => deps.apart(() => secrets.seal(...given)),
      open: (...given) => deps.apart(() => secrets.open(...given)),
    } satisfies Secrets,
    /** Told whenever stored secrets may open that did not, or the other way round. */
    onChange(listener: () => void): void {
      listeners.push(listener);
    },

    /**
     * Refuses to begin without a key that stored secrets need. Changes nothing then.
     * @throws AppError `config_invalid` naming the key that is missing.
     */
    check: () => refuseLostKeys({ ...deps, engines, log }),

    /** Before anything seals or opens. */
    async start(): Promise<void> {
      await holders.start();
      upkeep.start();
    },
    async stop(): Promise<void> {
      await upkeep.stop();
      dataKeys.forgetAll();
    },

    /**
     * Makes new keys. What is sealed goes on opening all the while; re-wrapping and sealing anew go on after this returns.
     * @throws AppError `conflict` when the key-encryption key cannot be made here, or not every instance got to know it.
     */
    rotate: (what: Rotation): Promise<void> => deps.apart(() => rotate(what)),

    /** Keys of tenants' own, which they can withdraw. */
    customerKey: (tenantId: string) => deps.apart(() => customers.find(tenantId)),
    setCustomerKey: (...given: Parameters<typeof customers.set>) => deps.apart(() => customers.set(...given)),
    removeCustomerKey: (tenantId: string) => deps.apart(() => customers.remove(tenantId)),

    /** Settles when what there was to be re-wrapped and sealed anew has been, as far as it can be. */
    settle: () => upkeep.round(),
    /** Asks now whether keys are still granted, as is done every 20 s. */
    ask: () => upkeep.ask(),
    health: () => engine.health(),

    async status(): Promise<KeyringStatus> {
      const [keks, counts, health, ofTenants] = await Promise.all([
        store.kekUses(),
        store.counts(),
        engine.health(),
        store.customerKeks(),
      ]);
      const currentKekId = await engine.currentKeyId().catch(() => null);
      const toReseal = [];
      for (const column of deps.columns)
        toReseal.push({ name: column.name, values: await column.countStale() });
      return {
        engine: engine.engine,
        currentKekId,
        health,
        keks: keks.map((use) => ({
          ...use,
          isCurrent: use.kekId === currentKekId || ofTenants.has(withoutVersion(use.kekId)),
        })),
        dataKeys: counts,
        toReseal,
        envelopeBegan: holders.envelopeBegan(),
        nextRotationAt: rotationDue(counts, keks, currentKekId, deps.rotateAfterMs),
      };
    },
    /** Unwrapped data keys in memory. */
    openKeys: () => dataKeys.size(),
  };
  upkeep.rotateBy(rotate);
  return keyring;
}

function operatorMakesKeys(engine: string): AppError {
  return new AppError(
    'conflict',
    engine === 'local'
      ? 'The master key comes from GATEHOUSE_MASTER_KEY, so only you can make another. Start every instance with the new key in GATEHOUSE_MASTER_KEYS_OLD, then with the new one as GATEHOUSE_MASTER_KEY and the old one in GATEHOUSE_MASTER_KEYS_OLD; data keys are re-wrapped by themselves then.'
      : 'The service that holds the key-encryption key rotates it by itself, without any change here.',
  );
}
