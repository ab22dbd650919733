import type { Log } from '../platform/log.ts';
import type { SecretBox } from '../platform/secret-box.ts';
import type { Provider } from './resolution.ts';
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
  open(rows: readonly ProviderRow[]): Provider[];
  /** @param provider one that `open` gave. */
  revisionOf(provider: Provider): number;
}

export function createOpenProviders(deps: {
  readonly secretBox: Pick<SecretBox, 'open'>;
  readonly log: Log;
}): OpenProviders {
  let known: ReadonlyMap<string, Provider> = new Map();
  const revisions = new WeakMap<Provider, number>();

  const openOne = (row: ProviderRow, before: Provider | undefined): Provider => {
    try {
      return storedProvider(row, openKeys(deps.secretBox, row, before?.keys ?? []), null);
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
    open(rows) {
      const opened = rows.map((row) => {
        const before = known.get(row.id);
        if (before && before.keyProblem === null && revisions.get(before) === row.revision) return before;
        const provider = openOne(row, before);
        revisions.set(provider, row.revision);
        return provider;
      });
      known = new Map(opened.map((provider) => [provider.id, provider]));
      return opened;
    },
    revisionOf: (provider) => revisions.get(provider) ?? 0,
  };
}
