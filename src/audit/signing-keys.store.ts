import { sql, type Transaction } from 'kysely';
import type { Database } from '../platform/database/database.ts';

/** Any number; the same in every instance. Whoever holds it gives places and signs heads, or changes the key. */
export const sequencerLock = 7_165_402_381;

export interface StoredSigningKey {
  readonly id: string;
  readonly publicKey: string;
  readonly sealedPrivateKey: string;
  readonly createdAt: Date;
}

/** SQL of the keys that sign the log: one at a time. As the owner role. */
export function createSigningKeysStore(database: Pick<Database, 'platform'>) {
  const add = async (tx: Transaction<unknown>, key: StoredSigningKey): Promise<void> => {
    await sql`insert into audit_keys (id, public_key, sealed_private_key, created_at)
      values (${key.id}, ${key.publicKey}, ${key.sealedPrivateKey}, ${key.createdAt})`.execute(tx);
  };
  const lockedId = async (tx: Transaction<unknown>): Promise<string | null> => {
    await sql`select pg_advisory_xact_lock(${sequencerLock})`.execute(tx);
    return signingKeyId(tx);
  };

  return {
    /** The key that signs now, sealed; null before the first. */
    async signingKey(): Promise<StoredSigningKey | null> {
      const { rows } = await sql<{
        id: string;
        public_key: string;
        sealed_private_key: string;
        created_at: Date;
      }>`select id, public_key, sealed_private_key, created_at from audit_keys where retired_at is null`.execute(
        database.platform,
      );
      const [row] = rows;
      if (!row) return null;
      const { id, public_key: publicKey, sealed_private_key: sealedPrivateKey, created_at: createdAt } = row;
      return { id, publicKey, sealedPrivateKey, createdAt };
    },

    /** Does nothing when there is one by now: instances that start at once have one key. */
    addFirstKey: (key: StoredSigningKey): Promise<void> =>
      database.platform.transaction().execute(async (tx) => {
        if ((await lockedId(tx)) === null) await add(tx, key);
      }),

    /**
     * Puts a key in place of the one that signs, whose private half is forgotten. Nothing is signed meanwhile.
     * @returns when: not before anything that the old one signed, whatever the clocks of instances say.
     */
    succeed: (key: Omit<StoredSigningKey, 'createdAt'>, now: Date): Promise<Date> =>
      database.platform.transaction().execute(async (tx) => {
        await lockedId(tx);
        const { rows } = await sql<{ at: Date }>`
          select greatest(${now}::timestamptz, (select max(created_at) from audit_keys), (
            select max(h.at) from audit_logs l cross join lateral (
              select at from audit_heads where tenant_id = l.tenant_id order by size desc, at desc limit 1) h)) as at`.execute(
          tx,
        );
        const at = rows[0]?.at ?? now;
        await sql`update audit_keys set retired_at = ${at}, sealed_private_key = null
          where retired_at is null`.execute(tx);
        await add(tx, { ...key, createdAt: at });
        return at;
      }),

    /** Runs `work` while that key signs and nobody changes it. @returns null when another one signs by now. */
    whileSigning: <T>(id: string, work: () => T): Promise<{ readonly done: T } | null> =>
      database.platform.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock_shared(${sequencerLock})`.execute(tx);
        return (await signingKeyId(tx)) === id ? { done: work() } : null;
      }),
  };
}

/** @returns the id of the key that signs now; null before the first. */
export async function signingKeyId(tx: Transaction<unknown>): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`select id from audit_keys where retired_at is null`.execute(tx);
  return rows[0]?.id ?? null;
}
