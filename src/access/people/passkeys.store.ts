import type { Selectable } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { PeopleTables } from './people-tables.ts';

export type PasskeyRow = Selectable<PeopleTables['passkeys']>;
export type PasskeysStore = ReturnType<typeof createPasskeysStore>;

/** SQL of passkeys. */
export function createPasskeysStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  return {
    ofUser: (userId: string): Promise<PasskeyRow[]> =>
      platform
        .selectFrom('passkeys')
        .selectAll()
        .where('user_id', '=', userId)
        .orderBy('created_at', 'desc')
        .limit(100)
        .execute(),

    byCredential: (credentialId: string): Promise<PasskeyRow | undefined> =>
      platform
        .selectFrom('passkeys')
        .selectAll()
        .where('credential_id', '=', credentialId)
        .executeTakeFirst(),

    /** @returns false when the credential is somebody's already. */
    insert: (scope: DatabaseScope, row: PasskeyRow): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const result = await tx
          .withTables<PeopleTables>()
          .insertInto('passkeys')
          .values(row)
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
      }),

    remove: (scope: DatabaseScope, userId: string, id: string): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const result = await tx
          .withTables<PeopleTables>()
          .deleteFrom('passkeys')
          .where('user_id', '=', userId)
          .where('id', '=', id)
          .executeTakeFirst();
        return result.numDeletedRows > 0n;
      }),

    /** Moves the counter on. @returns false when it would not go forward; those that do not count stay at zero. */
    async used(id: string, counter: bigint, now: Date): Promise<boolean> {
      const result = await platform
        .updateTable('passkeys')
        .set({ counter, last_used_at: now })
        .where('id', '=', id)
        .where((eb) => (counter === 0n ? eb('counter', '=', 0n) : eb('counter', '<', counter)))
        .executeTakeFirst();
      return result.numUpdatedRows > 0n;
    },
  };
}
