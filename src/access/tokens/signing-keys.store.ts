import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database } from '../../platform/database/database.ts';

type SigningKeyTable = {
  id: string;
  /** A JWK. */
  public_key: unknown;
  sealed_private_key: string;
  created_at: Date;
  signs_from: Date;
  verifies_until: Date | null;
};
export type SigningKeyRow = Selectable<SigningKeyTable>;
type Tables = { token_signing_keys: SigningKeyTable };

export type SigningKeysStore = ReturnType<typeof createSigningKeysStore>;

/** SQL of the keys that sign access tokens: the platform's own, of no tenant. */
export function createSigningKeysStore(database: Database) {
  const tables = (of: Kysely<unknown>) => of.withTables<Tables>();

  return {
    /** Those whose tokens may still live, the one that signs last coming last. */
    keys: (now: Date): Promise<SigningKeyRow[]> =>
      tables(database.platform)
        .selectFrom('token_signing_keys')
        .selectAll()
        .where((eb) => eb.or([eb('verifies_until', 'is', null), eb('verifies_until', '>', now)]))
        .orderBy('signs_from')
        .orderBy('id')
        .execute(),

    /**
     * Adds what `decide` makes of the keys that are there, while no other instance does the same, and sets the end of those
     * before it. Removes those whose tokens have all ended.
     */
    succeed: (
      now: Date,
      decide: (there: readonly SigningKeyRow[]) => Promise<{ key: SigningKeyRow; othersUntil: Date } | null>,
    ): Promise<SigningKeyRow | null> =>
      database.platform.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(hashtext('gatehouse token signing keys'))`.execute(tx);
        const keys = tables(tx);
        await keys.deleteFrom('token_signing_keys').where('verifies_until', '<=', now).execute();
        const there = await keys.selectFrom('token_signing_keys').selectAll().orderBy('signs_from').execute();
        const decided = await decide(there);
        if (decided === null) return null;
        const { key, othersUntil } = decided;
        await keys
          .updateTable('token_signing_keys')
          .set({ verifies_until: sql<Date>`least(verifies_until, ${othersUntil})` })
          .execute();
        await keys
          .insertInto('token_signing_keys')
          .values({ ...key, public_key: JSON.stringify(key.public_key) })
          .execute();
        return key;
      }),
  };
}
