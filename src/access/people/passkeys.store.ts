import type { Selectable } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import { endAccess } from './end-access.ts';
import { removingFactor } from './last-factor.ts';
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

    /** @param keep the session that goes on. @returns false when the credential is somebody's already. */
    insert: (scope: DatabaseScope, row: PasskeyRow, keep: string | null): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        const result = await people
          .insertInto('passkeys')
          .values(row)
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        if ((result.numInsertedOrUpdatedRows ?? 0n) === 0n) return false;
        await endAccess(people, row.user_id, keep, row.created_at);
        return true;
      }),

    /**
     * @param how whether the user needs a second factor, and which session goes on.
     * @throws AppError `second_factor_required` for the last one of who needs one.
     */
    remove: (
      scope: DatabaseScope,
      userId: string,
      id: string,
      how: { readonly needed: boolean; readonly keep: string | null },
      now: Date,
    ): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        const removed = await removingFactor(people, userId, how.needed, async () => {
          const result = await people
            .deleteFrom('passkeys')
            .where('user_id', '=', userId)
            .where('id', '=', id)
            .executeTakeFirst();
          return result.numDeletedRows > 0n;
        });
        if (removed) await endAccess(people, userId, how.keep, now);
        return removed;
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
