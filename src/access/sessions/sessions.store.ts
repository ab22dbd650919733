import { type Selectable, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { MfaRequirement } from '../people/mfa-rule.ts';
import type { PeopleTables } from '../people/people-tables.ts';

export type SessionRow = Selectable<PeopleTables['sessions']>;
/** A session with what its principal is made of. */
export interface LiveSession extends SessionRow {
  readonly role: string;
  readonly groups: string[];
  /** Whether the user has a second factor. */
  readonly enrolled: boolean;
  readonly tenants_require_mfa: MfaRequirement | null;
  readonly platforms_require_mfa: MfaRequirement | null;
  readonly owners_require_mfa: boolean | null;
}
export type SessionsStore = ReturnType<typeof createSessionsStore>;

/** SQL of sessions. */
export function createSessionsStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  return {
    /** A live session of a user who may still sign in. */
    liveByHash: (hash: Buffer, now: Date, seenAfter: Date): Promise<LiveSession | undefined> =>
      platform
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'sessions.user_id')
        .selectAll('sessions')
        .leftJoin('sign_in_policies as tenants', 'tenants.tenant_id', 'sessions.tenant_id')
        .leftJoin('sign_in_policies as platforms', (join) => join.on('platforms.tenant_id', 'is', null))
        .select(['users.role', 'users.groups'])
        .select([
          'tenants.require_mfa as tenants_require_mfa',
          'platforms.require_mfa as platforms_require_mfa',
          'platforms.owners_require_mfa',
          sql<boolean>`exists (select from passkeys where user_id = users.id)
            or exists (select from totp_secrets where user_id = users.id and confirmed_at is not null)`.as(
            'enrolled',
          ),
        ])
        .where('sessions.token_hash', '=', hash)
        .where('sessions.revoked_at', 'is', null)
        .where('sessions.expires_at', '>', now)
        .where('sessions.last_seen_at', '>', seenAfter)
        .where('users.disabled_at', 'is', null)
        .executeTakeFirst(),

    /** @param most live sessions a user keeps; the oldest beyond that end. */
    insert: (row: SessionRow, most: number): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx.insertInto('sessions').values(row).execute();
        await sql`update sessions set revoked_at = ${row.created_at} where id in (
          select id from sessions where user_id = ${row.user_id} and revoked_at is null
            and expires_at > ${row.created_at} order by created_at desc, id desc offset ${most})`.execute(tx);
      }),

    /** Gives a live session another secret. @param shown it has shown a second factor. @returns whether it was one. */
    async rotate(id: string, hash: Buffer, shown: boolean): Promise<boolean> {
      const result = await platform
        .updateTable('sessions')
        .set({ token_hash: hash, ...(shown && { second_factor: true }) })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      return result.numUpdatedRows > 0n;
    },

    /** Ends the session of this secret. @returns its id; undefined when it was none, or had ended. */
    async endByHash(hash: Buffer, now: Date): Promise<string | undefined> {
      const row = await platform
        .updateTable('sessions')
        .set({ revoked_at: now })
        .where('token_hash', '=', hash)
        .where('revoked_at', 'is', null)
        .returning('id')
        .executeTakeFirst();
      return row?.id;
    },

    /** A user's live sessions, newest first; there are few (see `insert`). */
    ofUser: (scope: DatabaseScope, userId: string, now: Date, seenAfter: Date): Promise<SessionRow[]> =>
      database.inTenant(scope, (tx) =>
        tx
          .withTables<PeopleTables>()
          .selectFrom('sessions')
          .selectAll()
          .where('user_id', '=', userId)
          .where('revoked_at', 'is', null)
          .where('expires_at', '>', now)
          .where('last_seen_at', '>', seenAfter)
          .orderBy('created_at', 'desc')
          .limit(100)
          .execute(),
      ),

    /** @param which ids, or all of the user's but one. @returns how many ended. */
    revoke: (
      scope: DatabaseScope,
      userId: string,
      which: { readonly id: string } | { readonly allBut: string | null },
      now: Date,
    ): Promise<number> =>
      database.inTenant(scope, async (tx) => {
        let query = tx
          .withTables<PeopleTables>()
          .updateTable('sessions')
          .set({ revoked_at: now })
          .where('user_id', '=', userId)
          .where('revoked_at', 'is', null);
        if ('id' in which) query = query.where('id', '=', which.id);
        else if (which.allBut !== null) query = query.where('id', '<>', which.allBut);
        const result = await query.executeTakeFirst();
        return Number(result.numUpdatedRows);
      }),

    async markSeen(seen: ReadonlyMap<string, number>): Promise<void> {
      if (seen.size === 0) return;
      const ids = [...seen.keys()];
      const times = [...seen.values()].map((ms) => new Date(ms).toISOString());
      await sql`update sessions set last_seen_at = greatest(last_seen_at, seen.at)
        from unnest(${ids}::uuid[], ${times}::timestamptz[]) as seen (id, at) where sessions.id = seen.id`.execute(
        platform,
      );
    },

    /** Sessions that ended a week ago are nobody's any more. */
    async removeOld(now: Date, batch: number): Promise<void> {
      const before = new Date(now.getTime() - 7 * 86_400_000);
      await sql`delete from sessions where id in
        (select id from sessions where expires_at < ${before} limit ${batch})`.execute(platform);
    },
  };
}
