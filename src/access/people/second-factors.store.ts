import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import { endAccess } from './end-access.ts';
import { removingFactor } from './last-factor.ts';
import type { PeopleTables } from './people-tables.ts';

export type TotpRow = Selectable<PeopleTables['totp_secrets']>;
export type SecondFactorsStore = ReturnType<typeof createSecondFactorsStore>;

/** SQL of one-time codes, and of sign-ins that wait for one. */
export function createSecondFactorsStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  // A code that was shown is used up, whatever becomes of the request.
  const { apart } = database;
  const putCodes = async (
    tx: Kysely<PeopleTables>,
    codes: readonly { id: string; tenant_id: string; user_id: string; code_hash: Buffer }[],
  ) => {
    for (const userId of new Set(codes.map((code) => code.user_id))) {
      await tx.deleteFrom('recovery_codes').where('user_id', '=', userId).execute();
    }
    await tx
      .insertInto('recovery_codes')
      .values(codes.map((code) => ({ ...code, used_at: null })))
      .execute();
  };

  return {
    totpOf: (userId: string): Promise<TotpRow | undefined> =>
      platform.selectFrom('totp_secrets').selectAll().where('user_id', '=', userId).executeTakeFirst(),

    /** A secret that is not confirmed yet gives way to the new one. @returns whether there is no confirmed one. */
    putTotp: (scope: DatabaseScope, row: TotpRow): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        await people
          .deleteFrom('totp_secrets')
          .where('user_id', '=', row.user_id)
          .where('confirmed_at', 'is', null)
          .execute();
        const result = await people
          .insertInto('totp_secrets')
          .values(row)
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
      }),

    /** The first code was right: from now on one is asked for. @returns whether it was waiting for one. */
    confirmTotp: (
      scope: DatabaseScope,
      userId: string,
      step: bigint,
      now: Date,
      codes: readonly { id: string; tenant_id: string; user_id: string; code_hash: Buffer }[],
      keep: string | null,
    ): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        const result = await people
          .updateTable('totp_secrets')
          .set({ confirmed_at: now, last_step: step })
          .where('user_id', '=', userId)
          .where('confirmed_at', 'is', null)
          .executeTakeFirst();
        if (result.numUpdatedRows === 0n) return false;
        await putCodes(people, codes);
        await endAccess(people, userId, keep, now);
        return true;
      }),

    /** A code's step is used up in one statement, so of two requests with one code one is refused. */
    async useStep(userId: string, step: bigint): Promise<boolean> {
      const result = await apart(() =>
        platform
          .updateTable('totp_secrets')
          .set({ last_step: step })
          .where('user_id', '=', userId)
          .where('confirmed_at', 'is not', null)
          .where('last_step', '<', step)
          .executeTakeFirst(),
      );
      return result.numUpdatedRows > 0n;
    },

    /** @param needed whether the user needs a second factor. @throws AppError `second_factor_required` for the last. */
    removeTotp: (
      scope: DatabaseScope,
      userId: string,
      needed: boolean,
      keep: string | null,
      now: Date,
    ): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        await removingFactor(people, userId, needed, async () => {
          await people.deleteFrom('totp_secrets').where('user_id', '=', userId).execute();
          await people.deleteFrom('recovery_codes').where('user_id', '=', userId).execute();
        });
        await endAccess(people, userId, keep, now);
      }),

    /** All that somebody has beside a password: an administrator's word takes its place. */
    removeAll: (scope: DatabaseScope, userId: string, now: Date): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        for (const table of ['totp_secrets', 'recovery_codes', 'passkeys'] as const) {
          await people.deleteFrom(table).where('user_id', '=', userId).execute();
        }
        await endAccess(people, userId, null, now);
      }),

    replaceCodes: (
      scope: DatabaseScope,
      userId: string,
      codes: readonly { id: string; tenant_id: string; user_id: string; code_hash: Buffer }[],
      keep: string | null,
      now: Date,
    ): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        const people = tx.withTables<PeopleTables>();
        await putCodes(people, codes);
        await endAccess(people, userId, keep, now);
      }),

    async useRecoveryCode(userId: string, hash: Buffer, now: Date): Promise<boolean> {
      const result = await apart(() =>
        platform
          .updateTable('recovery_codes')
          .set({ used_at: now })
          .where('user_id', '=', userId)
          .where('code_hash', '=', hash)
          .where('used_at', 'is', null)
          .executeTakeFirst(),
      );
      return result.numUpdatedRows > 0n;
    },

    codesLeft: async (userId: string): Promise<number> => {
      const row = await platform
        .selectFrom('recovery_codes')
        .select((eb) => eb.fn.countAll<bigint>().as('left'))
        .where('user_id', '=', userId)
        .where('used_at', 'is', null)
        .executeTakeFirst();
      return Number(row?.left ?? 0n);
    },

    addUnderWay: async (row: {
      id: Buffer;
      kind: string;
      state: Record<string, unknown>;
      expires_at: Date;
    }): Promise<void> => {
      await platform
        .insertInto('sign_ins_under_way')
        .values({ ...row, state: JSON.stringify(row.state), attempts: 0 })
        .execute();
    },

    /** Counts an attempt at what is under way. @returns its state; undefined when there is none, or it had too many. */
    async attemptUnderWay(id: Buffer, kind: string, most: number, now: Date) {
      const row = await platform
        .updateTable('sign_ins_under_way')
        .set((eb) => ({ attempts: eb('attempts', '+', 1) }))
        .where('id', '=', id)
        .where('kind', '=', kind)
        .where('attempts', '<', most)
        .where('expires_at', '>', now)
        .returning('state')
        .executeTakeFirst();
      return row?.state;
    },

    /** Takes what is under way out, so that it goes on once. @returns its state; undefined when there is none. */
    async takeUnderWay(id: Buffer, kind: string, now: Date) {
      const row = await platform
        .deleteFrom('sign_ins_under_way')
        .where('id', '=', id)
        .where('kind', '=', kind)
        .where('expires_at', '>', now)
        .returning('state')
        .executeTakeFirst();
      return row?.state;
    },

    removeExpired: async (now: Date, batch: number): Promise<void> => {
      await sql`delete from sign_ins_under_way where id in
        (select id from sign_ins_under_way where expires_at < ${now} limit ${batch})`.execute(platform);
    },
  };
}
