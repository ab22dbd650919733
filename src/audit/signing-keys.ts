import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import type { Secrets } from '../platform/secret-box.ts';
import type { createSigningKeysStore } from './signing-keys.store.ts';
import { keyIdOf } from './tree-head.ts';

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  /** Nothing that it signs says an earlier time. */
  readonly createdAt: Date;
}

export type SigningKeys = ReturnType<typeof createSigningKeys>;

/** What a private key is sealed for. */
export const auditKeyPurpose = (id: string) => `audit key:${id}`;

/** So often the key may change under a signature that is to be made. */
const tries = 3;

/**
 * The key that signs tree heads and exports: one at a time, Ed25519. When another one takes its place its private half is
 * forgotten, so that whoever takes this server over later cannot sign what was before.
 */
export function createSigningKeys(deps: {
  readonly store: ReturnType<typeof createSigningKeysStore>;
  readonly secretBox: Secrets;
  readonly clock: Pick<Clock, 'now'>;
}) {
  const { store, clock } = deps;
  let known: SigningKey | null = null;

  const fresh = async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const id = keyIdOf(publicKey);
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    return {
      id,
      publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
      sealedPrivateKey: await deps.secretBox.seal(pem, auditKeyPurpose(id), null),
    };
  };

  const stored = async (): Promise<SigningKey | null> => {
    const row = await store.signingKey();
    if (!row) return null;
    const pem = await deps.secretBox.open(row.sealedPrivateKey, auditKeyPurpose(row.id), null);
    return { id: row.id, privateKey: createPrivateKey(pem), createdAt: row.createdAt };
  };

  const current = async (): Promise<SigningKey> => {
    known ??= await stored();
    if (known) return known;
    await store.addFirstKey({ ...(await fresh()), createdAt: clock.now() });
    known = await stored();
    if (!known) throw new Error('the audit key that was just made is gone');
    return known;
  };

  /**
   * Gives `sign` the key that signs now, which is not retired meanwhile.
   * @param sign returns null when it found that another key signs by now; then it is asked again with that one.
   */
  const withCurrent = async <T>(
    sign: (key: SigningKey) => Promise<{ readonly done: T } | null>,
  ): Promise<T> => {
    for (let tried = 0; tried < tries; tried++) {
      const signed = await sign(await current());
      if (signed !== null) return signed.done;
      known = null;
    }
    throw new Error('the key of the audit log changed again and again');
  };

  return {
    withCurrent,
    /** Settles when there is a key. */
    ensure: async (): Promise<void> => void (await current()),
    /** Signs something beside the trees. */
    sign: <T>(work: (key: SigningKey) => T): Promise<T> =>
      withCurrent((key) => store.whileSigning(key.id, () => work(key))),

    /** From now on a new key signs, on every instance. */
    async rotate(): Promise<void> {
      await current();
      await store.succeed(await fresh(), clock.now());
      known = null;
    },
  };
}
