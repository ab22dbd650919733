import { type Kysely, sql } from 'kysely';
import type { PeopleTables } from './people-tables.ts';

/**
 * Ends what a user is signed in with, in the transaction of what makes it necessary: sessions but for one, refresh tokens and
 * the access tokens that came of them. Keys that somebody made to last stay.
 * @param keep the session that goes on, under a new secret; null: none.
 */
export async function endAccess(
  tx: Kysely<PeopleTables>,
  userId: string,
  keep: string | null,
  now: Date,
): Promise<void> {
  await sql`select end_access_of_user(${userId}, ${keep}, ${now})`.execute(tx);
}
