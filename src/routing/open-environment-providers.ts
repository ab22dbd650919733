import type { Log } from '../platform/log.ts';
import { isReference, type SecretReferences } from '../platform/secret-references/index.ts';
import type { Provider, ProviderKey } from './resolution.ts';

/** Providers of the environment, whose variables may say where a key is kept instead of holding it. */
export function createEnvironmentProviders(
  given: readonly Provider[],
  deps: { readonly references: Pick<SecretReferences, 'resolve'>; readonly log: Log },
) {
  /** As they were opened last: connections, breakers and what is known of keys hang on these objects. */
  const opened = new Map<string, Provider>();

  const openKey = async (key: ProviderKey, before: readonly ProviderKey[]): Promise<ProviderKey> => {
    if (!isReference(key.value)) return key;
    const value = await deps.references.resolve(key.value);
    const known = before.find((one) => one.value === value && one.reference === key.value);
    return known ?? { ...key, value, reference: key.value };
  };

  const openOne = async (provider: Provider): Promise<Provider> => {
    const before = opened.get(provider.id);
    try {
      const keys = await Promise.all(provider.keys.map((key) => openKey(key, before?.keys ?? [])));
      const isSame = before?.keyProblem === null && keys.every((key, i) => key === before.keys[i]);
      return isSame ? before : { ...provider, keys };
    } catch (error) {
      deps.log.error({ err: error, provider: provider.name }, "a provider's keys cannot be opened");
      const keyProblem = error instanceof Error ? error.message : String(error);
      return before?.keyProblem === keyProblem ? before : { ...provider, keys: [], keyProblem };
    }
  };

  /** @returns the providers with what their keys are now; one that did not change is the same object as before. */
  return async (): Promise<Provider[]> => {
    const all = await Promise.all(given.map(openOne));
    for (const provider of all) opened.set(provider.id, provider);
    return all;
  };
}
