import { type Kysely, sql } from 'kysely';
import { AppError } from '../../platform/errors.ts';
import type { PeopleTables } from './people-tables.ts';

export const lastFactor = (): AppError =>
  new AppError(
    'second_factor_required',
    'This is your last second factor, and you need one here. Set another one up first.',
  );

/**
 * Takes a second factor off somebody, one at a time, so that two that are removed at once are not both thought of as the
 * one that stays.
 * @param needed whether the user needs one: then the last cannot be removed.
 * @param remove does it. @returns what it says. @throws AppError `second_factor_required`; nothing is removed then.
 */
export async function removingFactor<T>(
  tx: Kysely<PeopleTables>,
  userId: string,
  needed: boolean,
  remove: () => Promise<T>,
): Promise<T> {
  await tx.selectFrom('users').select('id').where('id', '=', userId).forUpdate().execute();
  const result = await remove();
  if (!needed) return result;
  const { rows } = await sql<{ left: boolean }>`select
    exists (select from passkeys where user_id = ${userId})
    or exists (select from totp_secrets where user_id = ${userId} and confirmed_at is not null) as left`.execute(
    tx,
  );
  if (!rows[0]?.left) throw lastFactor();
  return result;
}
