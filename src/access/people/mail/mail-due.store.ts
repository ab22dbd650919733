import { type Selectable, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../../platform/database/database.ts';
import type { InvitationRow, UserRow } from '../people.store.ts';
import type { PeopleTables } from '../people-tables.ts';
import type { DueMail } from './due-mail.ts';

export type MailDueStore = ReturnType<typeof createMailDueStore>;

/** SQL of mail that is due, and of the secrets that are made when it goes out. */
export function createMailDueStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  return {
    /**
     * Of somebody who is nobody yet: whatever becomes of the request, and whether or not anybody has the address.
     * @param most of this kind that may wait. @returns false when so many do.
     */
    async addOfStranger(row: DueMail, most: number): Promise<boolean> {
      const result = await database.apart(() =>
        sql`insert into mail_due (id, tenant_id, kind, subject_id, email, attempts, created_at, due_at, expires_at)
          select ${row.id}, null, ${row.kind}, null, ${row.email}, 0, ${row.created_at}, ${row.due_at}, ${row.expires_at}
          where (select count(*) from mail_due where kind = ${row.kind}) < ${most}`.execute(platform),
      );
      return (result.numAffectedRows ?? 0n) > 0n;
    },

    /** In the transaction of what it is about, where there is one. */
    add: (scope: DatabaseScope, row: DueMail): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        await tx.withTables<PeopleTables>().insertInto('mail_due').values(row).execute();
      }),

    /** Takes what is due, for as long as `again` is off: then it is due again, unless it was done meanwhile. */
    async take(now: Date, again: Date, most: number): Promise<DueMail[]> {
      const { rows } = await sql<DueMail>`update mail_due set attempts = attempts + 1, due_at = ${again}
        where id in (select id from mail_due where due_at <= ${now} and expires_at > ${now}
          order by due_at limit ${most} for update skip locked) returning *`.execute(platform);
      return rows;
    },

    put: async (id: string, dueAt: Date): Promise<void> => {
      await platform.updateTable('mail_due').set({ due_at: dueAt }).where('id', '=', id).execute();
    },
    done: async (id: string): Promise<void> => {
      await platform.deleteFrom('mail_due').where('id', '=', id).execute();
    },

    waiting: async (): Promise<number> => {
      const row = await platform
        .selectFrom('mail_due')
        .select((eb) => eb.fn.countAll<bigint>().as('waiting'))
        .executeTakeFirst();
      return Number(row?.waiting ?? 0n);
    },

    /** Gives an invitation its secret. @returns it; undefined when it was used or withdrawn. */
    renewInvitation: (id: string, tokenHash: Buffer, now: Date): Promise<InvitationRow | undefined> =>
      platform
        .updateTable('invitations')
        .set({ token_hash: tokenHash, mailed_at: now })
        .where('id', '=', id)
        .where('expires_at', '>', now)
        .returningAll()
        .executeTakeFirst(),

    /** It did not go out: what was to say that it did is taken back. */
    notMailed: async (id: string): Promise<void> => {
      await platform.updateTable('invitations').set({ mailed_at: null }).where('id', '=', id).execute();
    },

    addReset: (row: Selectable<PeopleTables['password_resets']>): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx.deleteFrom('password_resets').where('user_id', '=', row.user_id).execute();
        await tx.insertInto('password_resets').values(row).execute();
      }),

    addVerification: (row: Selectable<PeopleTables['email_verifications']>): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx.deleteFrom('email_verifications').where('user_id', '=', row.user_id).execute();
        await tx.insertInto('email_verifications').values(row).execute();
      }),

    /** Uses a link up. @returns whose address is confirmed; undefined for a link that was used or has expired. */
    verify: (tokenHash: Buffer, now: Date): Promise<Pick<UserRow, 'id'> | undefined> =>
      platform.transaction().execute(async (tx) => {
        const taken = await tx
          .deleteFrom('email_verifications')
          .where('token_hash', '=', tokenHash)
          .where('expires_at', '>', now)
          .returning('user_id')
          .executeTakeFirst();
        if (!taken) return undefined;
        return tx
          .updateTable('users')
          .set({ email_verified_at: now, updated_at: now })
          .where('id', '=', taken.user_id)
          .returning('id')
          .executeTakeFirst();
      }),
  };
}
