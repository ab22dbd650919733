import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database } from '../../../platform/database/database.ts';
import { refuseUnknownRole } from '../../roles/roles.store.ts';
import { endAccess } from '../end-access.ts';
import type { UserRow } from '../people.store.ts';
import type { PeopleTables } from '../people-tables.ts';

export type IssuerRow = Selectable<PeopleTables['identity_providers']>;
export type IssuersStore = ReturnType<typeof createIssuersStore>;

/**
 * SQL of issuers and of who is who there. An administrator's statements run as the tenant; the platform's issuers belong to
 * none, and signing in happens before anybody is in a tenant.
 */
export function createIssuersStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  /** @param owner null: the platform's settings, of its owners. */
  const settingsOf = <T>(owner: string | null, work: (tx: Kysely<PeopleTables>) => Promise<T>): Promise<T> =>
    owner === null
      ? work(platform)
      : database.inTenant({ tenantId: owner, readerTokens: [] }, (tx) => work(tx.withTables<PeopleTables>()));
  const owned = (owner: string | null) =>
    owner === null ? sql<boolean>`tenant_id is null` : sql<boolean>`tenant_id = ${owner}`;

  return {
    list: (owner: string | null): Promise<IssuerRow[]> =>
      settingsOf(owner, (tx) =>
        tx
          .selectFrom('identity_providers')
          .selectAll()
          .where(owned(owner))
          .orderBy('name')
          .limit(200)
          .execute(),
      ),

    named: (owner: string | null, name: string): Promise<IssuerRow | undefined> =>
      settingsOf(owner, (tx) =>
        tx
          .selectFrom('identity_providers')
          .selectAll()
          .where(owned(owner))
          .where('name', '=', name)
          .executeTakeFirst(),
      ),

    put: (owner: string | null, row: IssuerRow): Promise<IssuerRow> =>
      settingsOf(owner, (tx) => {
        const { id: _id, tenant_id: _tenant, name: _name, created_at: _created, ...changed } = row;
        const group_map = JSON.stringify(row.group_map);
        return tx
          .insertInto('identity_providers')
          .values({ ...row, group_map })
          .onConflict((conflict) =>
            conflict.columns(['tenant_id', 'name']).doUpdateSet({ ...changed, group_map }),
          )
          .returningAll()
          .executeTakeFirstOrThrow();
      }),

    remove: (owner: string | null, name: string): Promise<boolean> =>
      settingsOf(owner, async (tx) => {
        const result = await tx
          .deleteFrom('identity_providers')
          .where(owned(owner))
          .where('name', '=', name)
          .executeTakeFirst();
        return result.numDeletedRows > 0n;
      }),

    byId: (id: string): Promise<IssuerRow | undefined> =>
      platform.selectFrom('identity_providers').selectAll().where('id', '=', id).executeTakeFirst(),

    userOf: (providerId: string, subject: string): Promise<UserRow | undefined> =>
      platform
        .selectFrom('user_identities')
        .innerJoin('users', 'users.id', 'user_identities.user_id')
        .selectAll('users')
        .where('provider_id', '=', providerId)
        .where('subject', '=', subject)
        .executeTakeFirst(),

    openInvitation: (tenantId: string, email: string, now: Date) =>
      platform
        .selectFrom('invitations')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where(sql<boolean>`lower(email) = lower(${email})`)
        .where('expires_at', '>', now)
        .executeTakeFirst(),

    link: async (row: Selectable<PeopleTables['user_identities']>): Promise<void> => {
      await platform
        .insertInto('user_identities')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },

    /** A new user whom an issuer vouches for; an invitation of theirs is used up. */
    create: (user: UserRow, identity: Selectable<PeopleTables['user_identities']>): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx
          .deleteFrom('invitations')
          .where('tenant_id', '=', user.tenant_id)
          .where(sql<boolean>`lower(email) = lower(${user.email})`)
          .execute();
        await tx
          .insertInto('users')
          .values({ ...user, attributes: JSON.stringify(user.attributes) })
          .execute()
          .catch(refuseUnknownRole(user.role));
        await tx.insertInto('user_identities').values(identity).execute();
      }),

    /** What somebody is signed in with elsewhere was begun with other groups, and ends. */
    setGroups: (userId: string, groups: readonly string[], now: Date): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx
          .updateTable('users')
          .set({ groups: [...groups], updated_at: now })
          .where('id', '=', userId)
          .execute();
        await endAccess(tx, userId, null, now);
      }),
  };
}
