import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DataKeys } from './data-keys.ts';
import type { EngineName } from './key-encryption.ts';
import type { KeyEngines } from './key-engines.ts';
import type { KeyringStore } from './keyring.store.ts';

/** A tenant's own key-encryption key. */
export interface CustomerKey {
  /** The engine, a colon, and the key's name there. */
  readonly kek: string;
  readonly updatedAt: Date;
  readonly health: { readonly ok: boolean; readonly detail: string };
  /** Data keys of the tenant that another key still wraps: that key does not open them now. */
  readonly notRewrapped: number;
}

/** Tenants whose data keys are wrapped by a key of their own, which they can withdraw. */
export function createCustomerKeys(deps: {
  readonly store: KeyringStore;
  readonly engines: KeyEngines;
  readonly dataKeys: DataKeys;
  readonly envelopeBegan: () => boolean;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}) {
  const { store, engines, dataKeys, clock, log } = deps;

  /** What does not open stays as it is, and is tried again with each round of upkeep. */
  const rewrapAll = async (tenantId: string): Promise<void> => {
    for (const row of await store.dataKeysOf(tenantId)) {
      try {
        await dataKeys.rewrap(row);
      } catch (error) {
        log.warn({ err: error, data_key: row.id, kek: row.kek_id }, 'a data key could not be re-wrapped');
        // What is stored from now on must not need a key that is gone.
        if (row.superseded_at === null) await dataKeys.supersede(row);
      }
    }
  };

  const find = async (tenantId: string): Promise<CustomerKey | null> => {
    const stored = await store.customerKey(tenantId);
    if (stored === null) return null;
    const rows = await store.dataKeysOf(tenantId);
    const engine = await engines.wrapping(stored.kek);
    return {
      kek: stored.kek,
      updatedAt: stored.updated_at,
      health: await engine.health(),
      notRewrapped: rows.filter(({ kek_id }) => !isOf(stored.kek, kek_id)).length,
    };
  };

  return {
    find,

    /**
     * From now on this key wraps the tenant's data keys, those that there are as well.
     * @throws AppError `invalid` when the key does not wrap and unwrap, or is the operator's; `not_found` when there is no
     *   such tenant; `conflict` while an instance of a version before data keys serves.
     */
    async set(
      tenantId: string,
      given: { readonly engine: EngineName; readonly key: string },
    ): Promise<CustomerKey> {
      if (!deps.envelopeBegan()) {
        throw new AppError(
          'conflict',
          'An instance of the version before still serves and knows no keys of tenants. Try again when it is gone.',
        );
      }
      if (!nameForms[given.engine].test(given.key))
        throw refused('key', `is no name of a key in ${given.engine}`);
      const kek = `${given.engine}:${given.key}`;
      const engine = await engines.wrapping(kek).catch((cause: unknown) => {
        throw refused('engine', 'is not set up on this server', cause);
      });
      if (!engine.withKey) throw refused('engine', 'must be vault or aws');
      if (await engines.isOperators(kek)) throw refused('key', "must not be the server's own key");
      const health = await engine.health();
      if (!health.ok) throw refused('key', `cannot be used: ${health.detail}`);
      await store.putCustomerKey(tenantId, kek, clock.now());
      await rewrapAll(tenantId);
      const stored = await find(tenantId);
      if (!stored) throw new Error('the key that was just set is gone');
      return stored;
    },

    /** The operator's key wraps the tenant's data keys again. @returns whether there was one of the tenant's. */
    async remove(tenantId: string): Promise<boolean> {
      if (!(await store.removeCustomerKey(tenantId))) return false;
      await rewrapAll(tenantId);
      return true;
    },
  };
}

/** What becomes part of an address or an id, so that none leads to anything but a key. */
const nameForms: Readonly<Record<EngineName, RegExp>> = {
  local: /^$/,
  vault: /^(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$/,
  aws: /^[A-Za-z0-9:/_-]+$/,
};

const isOf = (kek: string, kekId: string): boolean => kekId === kek || kekId.startsWith(`${kek}#`);

function refused(path: string, message: string, cause?: unknown): AppError {
  return new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }], cause });
}
