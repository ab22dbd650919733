import type { Log } from '../platform/log.ts';
import type { Secrets } from '../platform/secret-box.ts';
import type { SecretReferences } from '../platform/secret-references/index.ts';
import type { Provider, ProviderKey } from './resolution.ts';
import type { ProviderRow } from './routing.store.ts';
import { storedProvider } from './routing-rows.ts';
import { openKeys } from './stored-keys.ts';

/** Keeps the providers of stored rows in memory, one object for each revision. */
export interface OpenProviders {
  /**
   * @param rows all that there are.
   * @returns their providers. A row whose revision is known gives the same object as before: connections, breakers and
   *   what is known of keys hang on it, and its keys need not be opened again.
   */
  open(rows: readonly ProviderRow[]): Promise<Provider[]>;
  /** Next time, all keys are opened again: one that could be may be closed by now, or another one. */
  reopen(): void;
  /** @param provider one that `open` gave. */
  revisionOf(provider: Provider): number;
}

/** Opening a key may ask a service for it. */
const openedAtOnce = 16;

export function createOpenProviders(deps: {
  readonly secretBox: Pick<Secrets, 'open'>;
  readonly references: Pick<SecretReferences, 'resolve'>;
  readonly log: Log;
}): OpenProviders {
  let known: ReadonlyMap<string, Provider> = new Map();
  const revisions = new WeakMap<Provider, number>();

  let isStale = false;

  const openOne = async (row: ProviderRow, before: Provider | undefined): Promise<Provider> => {
    try {
      return storedProvider(row, await openKeys(deps, row, before?.keys ?? []), null);
    } catch (error) {
      // One key that cannot be opened must not keep the other providers from working.
      deps.log.error(
        { err: error, provider: row.name, tenant: row.tenant_id },
        "a provider's keys cannot be opened",
      );
      return storedProvider(row, [], error instanceof Error ? error.message : String(error));
    }
  };

  return {
    async open(rows) {
      const again = isStale;
      isStale = false;
      const openRow = async (row: ProviderRow): Promise<Provider> => {
        const before = known.get(row.id);
        const isKnown = before && before.keyProblem === null && revisions.get(before) === row.revision;
        if (isKnown && !again) return before;
        const provider = await openOne(row, before);
        // Connections and breakers hang on the object, so it is another one only if something is.
        if (isKnown && isSame(before.keys, provider.keys) && provider.keyProblem === null) return before;
        revisions.set(provider, row.revision);
        return provider;
      };
      const opened: Provider[] = [];
      for (let i = 0; i < rows.length; i += openedAtOnce) {
        opened.push(...(await Promise.all(rows.slice(i, i + openedAtOnce).map(openRow))));
      }
      known = new Map(opened.map((provider) => [provider.id, provider]));
      return opened;
    },
    reopen() {
      isStale = true;
    },
    revisionOf: (provider) => revisions.get(provider) ?? 0,
  };
}

function isSame(some: readonly ProviderKey[], others: readonly ProviderKey[]): boolean {
  return some.length === others.length && some.every((key, i) => key === others[i]);
}
