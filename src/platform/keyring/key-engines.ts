import { engineOf, type KeyEncryption, KeyEncryptionError } from './key-encryption.ts';

export type KeyEngines = ReturnType<typeof createKeyEngines>;

/** A key's name without its version: a service keeps versions of one key, and who may use one of them may use all. */
export const withoutVersion = (kekId: string): string => kekId.replace(/#\d+$/, '');

/** Which engine wraps and unwraps by which key: those of the operator, and keys of customers in the same services. */
export function createKeyEngines(engines: readonly [KeyEncryption, ...KeyEncryption[]]) {
  const named = (kekId: string): KeyEncryption => {
    const found = engines.find(({ engine }) => engine === engineOf(kekId));
    if (found) return found;
    throw new KeyEncryptionError(
      'unknown',
      kekId,
      `A data key was wrapped by ${kekId}, and this instance has no such engine. Configure it again (docs/secrets.md). Nothing was changed.`,
    );
  };
  const isOperators = async (engine: KeyEncryption, kekId: string): Promise<boolean> =>
    (await engine.knownKeyIds()).some((known) => withoutVersion(known) === withoutVersion(kekId));

  const engineFor = async (kekId: string): Promise<KeyEncryption> => {
    const engine = named(kekId);
    if (!engine.withKey || (await isOperators(engine, kekId))) return engine;
    return engine.withKey(withoutVersion(kekId).slice(engine.engine.length + 1));
  };

  return {
    /** What wraps where no customer's key is set. */
    operators: engines[0],
    /**
     * @param tenantId whose data key it is; null: the platform's own, which no customer's key ever wraps.
     * @throws KeyEncryptionError when there is no such engine.
     */
    unwrapping: async (kekId: string, tenantId: string | null): Promise<KeyEncryption> =>
      tenantId === null ? named(kekId) : engineFor(kekId),
    /** @param kek a customer's key, without a version; null: none. @throws as `unwrapping`. */
    wrapping: async (kek: string | null): Promise<KeyEncryption> =>
      kek === null ? engines[0] : engineFor(kek),
    /** Whether it is, or was, a customer's key in a service that is set up here. */
    async isCustomers(kekId: string, tenantId: string | null): Promise<boolean> {
      const engine = engines.find((one) => one.engine === engineOf(kekId));
      return tenantId !== null && engine?.withKey !== undefined && !(await isOperators(engine, kekId));
    },
    /** Whether it is the operator's own, which cannot be a customer's. */
    isOperators: async (kek: string): Promise<boolean> => isOperators(named(kek), kek),
  };
}
