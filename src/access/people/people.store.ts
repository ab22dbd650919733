import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import type { PageCursor } from '../../platform/page.ts';
import { boundingAttributes } from '../attributes/attributes.ts';
import type { Principal } from '../principal.ts';
import { refuseUnknownRole } from '../roles/roles.store.ts';
import { endAccess } from './end-access.ts';
import type { DueMail } from './mail/due-mail.ts';
import type { PeopleTables } from './people-tables.ts';

export type UserRow = Selectable<PeopleTables['users']>;
export type InvitationRow = Selectable<PeopleTables['invitations']>;
export type PeopleStore = ReturnType<typeof createPeopleStore>;

export interface UserChange {
  readonly name?: string | null;
  readonly role?: string;
  readonly groups?: string[];
  readonly attributes?: string;
  readonly disabled_at?: Date | null;
}

/** SQL of users, invitations and resets. What is done before anybody is signed in is the platform's. */
export function createPeopleStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  const inTenant = <T>(scope: DatabaseScope, work: (tx: Kysely<PeopleTables>) => Promise<T>): Promise<T> =>
    database.inTenant(scope, (tx: Tx) => work(tx.withTables<PeopleTables>()));
  const before = (after: PageCursor | null) =>
    after === null
      ? sql<boolean>`true`
      : sql<boolean>`(created_at, id) < (${after.createdAt}, ${after.id}::uuid)`;

  return {
    boundingAttributes: (principal: Principal) => boundingAttributes(database, principal),

    userByEmail: (email: string): Promise<UserRow | undefined> =>
      platform
        .selectFrom('users')
        .selectAll()
        .where(sql<boolean>`lower(email) = lower(${email})`)
        .executeTakeFirst(),

    userById: (id: string): Promise<UserRow | undefined> =>
      platform.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst(),

    users: (scope: DatabaseScope, limit: number, after: PageCursor | null): Promise<UserRow[]> =>
      inTenant(scope, (tx) =>
        tx
          .selectFrom('users')
          .selectAll()
          .where(before(after))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit)
          .execute(),
      ),

    userIn: (scope: DatabaseScope, id: string): Promise<UserRow | undefined> =>
      inTenant(scope, (tx) => tx.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()),

    /**
     * Changes a user as `decide` says from what is there, which nobody else changes meanwhile.
     * @returns before and after; undefined when there is no such user.
     */
    changeUser: (
      scope: DatabaseScope,
      id: string,
      now: Date,
      decide: (row: UserRow) => UserChange,
    ): Promise<{ before: UserRow; after: UserRow } | undefined> =>
      inTenant(scope, async (tx) => {
        const row = await lockedUser(tx, id);
        if (!row) return undefined;
        const change = decide(row);
        await refuseLastOwner(tx, row, change.role ?? row.role, change.disabled_at ?? null);
        const after = await tx
          .updateTable('users')
          .set({ ...change, updated_at: now })
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow()
          .catch(refuseUnknownRole(change.role ?? row.role));
        if (decidesRights(row, after)) await endAccess(tx, id, null, now);
        return { before: row, after };
      }),

    deleteUser: (
      scope: DatabaseScope,
      id: string,
      decide: (row: UserRow) => void,
    ): Promise<UserRow | undefined> =>
      inTenant(scope, async (tx) => {
        const row = await lockedUser(tx, id);
        if (!row) return undefined;
        decide(row);
        await refuseLastOwner(tx, row, null, null);
        await tx.deleteFrom('users').where('id', '=', id).execute();
        return row;
      }),

    /** Sets the password and ends every session and sign-in token of the user, but for one session. */
    setPassword: (userId: string, passwordHash: string, keep: string | null, now: Date): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx
          .updateTable('users')
          .set({ password_hash: passwordHash, updated_at: now })
          .where('id', '=', userId)
          .execute();
        await tx.deleteFrom('password_resets').where('user_id', '=', userId).execute();
        await endAccess(tx, userId, keep, now);
      }),

    /**
     * An invitation of the same address in the same tenant takes the place of the one before.
     * @param due the mail that brings it; null when it is handed over.
     */
    invite: (scope: DatabaseScope, row: InvitationRow, due: DueMail | null): Promise<void> =>
      inTenant(scope, async (tx) => {
        await tx.deleteFrom('invitations').where(sql<boolean>`lower(email) = lower(${row.email})`).execute();
        await tx
          .insertInto('invitations')
          .values({ ...row, attributes: JSON.stringify(row.attributes) })
          .execute();
        if (due) await tx.insertInto('mail_due').values(due).execute();
      }),

    invitations: (scope: DatabaseScope, limit: number, after: PageCursor | null): Promise<InvitationRow[]> =>
      inTenant(scope, (tx) =>
        tx
          .selectFrom('invitations')
          .selectAll()
          .where(before(after))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit)
          .execute(),
      ),

    withdrawInvitation: (scope: DatabaseScope, id: string): Promise<boolean> =>
      inTenant(scope, async (tx) => {
        const result = await tx.deleteFrom('invitations').where('id', '=', id).executeTakeFirst();
        return result.numDeletedRows > 0n;
      }),

    openInvitation: (tokenHash: Buffer, now: Date): Promise<InvitationRow | undefined> =>
      platform
        .selectFrom('invitations')
        .selectAll()
        .where('token_hash', '=', tokenHash)
        .where('expires_at', '>', now)
        .executeTakeFirst(),

    /** The invitation becomes a user, once. @returns false when it was used or withdrawn meanwhile. */
    acceptInvitation: (tokenHash: Buffer, user: UserRow): Promise<boolean> =>
      platform.transaction().execute(async (tx) => {
        const taken = await tx
          .deleteFrom('invitations')
          .where('token_hash', '=', tokenHash)
          .where('expires_at', '>', user.created_at)
          .returning('id')
          .executeTakeFirst();
        if (!taken) return false;
        await tx
          .insertInto('users')
          .values({ ...user, attributes: JSON.stringify(user.attributes) })
          .execute()
          .catch(refuseUnknownRole(user.role));
        return true;
      }),

    addReset: (
      scope: DatabaseScope,
      row: {
        id: string;
        tenant_id: string;
        user_id: string;
        token_hash: Buffer;
        mailed_at: Date | null;
        created_at: Date;
        expires_at: Date;
      },
    ): Promise<void> =>
      inTenant(scope, async (tx) => {
        await tx.deleteFrom('password_resets').where('user_id', '=', row.user_id).execute();
        await tx.insertInto('password_resets').values(row).execute();
      }),

    userOfReset: (tokenHash: Buffer, now: Date): Promise<UserRow | undefined> =>
      platform
        .selectFrom('password_resets')
        .innerJoin('users', 'users.id', 'password_resets.user_id')
        .selectAll('users')
        .where('password_resets.token_hash', '=', tokenHash)
        .where('password_resets.expires_at', '>', now)
        .executeTakeFirst(),

    /** Uses the link up and sets the password, in one step. @returns false when it was used or has expired. */
    resetPassword: (tokenHash: Buffer, passwordHash: string, now: Date): Promise<boolean> =>
      platform.transaction().execute(async (tx) => {
        const taken = await tx
          .deleteFrom('password_resets')
          .where('token_hash', '=', tokenHash)
          .where('expires_at', '>', now)
          .returning(['user_id', 'mailed_at'])
          .executeTakeFirst();
        if (!taken) return false;
        // Whoever has a link that was mailed reads what comes to the address.
        const verified = taken.mailed_at === null ? {} : { email_verified_at: now };
        await tx
          .updateTable('users')
          .set({ password_hash: passwordHash, updated_at: now, ...verified })
          .where('id', '=', taken.user_id)
          .execute();
        await endAccess(tx, taken.user_id, null, now);
        return true;
      }),

    removeExpired: async (now: Date, batch: number): Promise<void> => {
      for (const table of ['invitations', 'password_resets', 'email_verifications', 'mail_due'] as const) {
        await sql`delete from ${sql.table(table)} where id in
          (select id from ${sql.table(table)} where expires_at < ${now} limit ${batch})`.execute(platform);
      }
    },
  };
}

/** Whether what somebody may do has changed. */
function decidesRights(before: UserRow, after: UserRow): boolean {
  const rightsOf = ({ role, groups, attributes, disabled_at }: UserRow) =>
    JSON.stringify([role, groups.toSorted(), attributes, disabled_at]);
  return rightsOf(before) !== rightsOf(after);
}

const lockedUser = (tx: Kysely<PeopleTables>, id: string): Promise<UserRow | undefined> =>
  tx.selectFrom('users').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();

/** Thrown by name, because only the service has words for it. */
export class LastOwner extends Error {}

/** Whoever is the tenant's only owner left stays one: an installation without an owner cannot be managed. */
async function refuseLastOwner(
  tx: Kysely<PeopleTables>,
  row: UserRow,
  role: string | null,
  disabledAt: Date | null,
): Promise<void> {
  if (row.role !== 'owner' || (role === 'owner' && disabledAt === null)) return;
  const others = await tx
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'owner')
    .where('id', '<>', row.id)
    .where('disabled_at', 'is', null)
    .forUpdate()
    .execute();
  if (others.length === 0) throw new LastOwner();
}
