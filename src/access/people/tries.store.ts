import { type Kysely, sql } from 'kysely';
import type { Database } from '../../platform/database/database.ts';
import type { PeopleTables } from './people-tables.ts';

/** What tries are counted by, and when it is enough. */
export interface TryLimit {
  readonly countedBy: Buffer;
  /** Tries before the first lock. */
  readonly free: number;
  /** The first lock; each try after it doubles the next one. */
  readonly firstLockMs: number;
  readonly longestLockMs: number;
}

export type TriesStore = ReturnType<typeof createTriesStore>;

/** Whoever does not try for this long starts afresh. */
const forgottenAfterMs = 3_600_000;
/** 2^20 times any first lock is past every longest one. */
const maxDoublings = 20;

class Locked extends Error {
  readonly until: Date;
  constructor(until: Date) {
    super('locked');
    this.until = until;
  }
}

/** SQL of tries at signing in. Each counts by itself, also when the request that it belongs to undoes what it did. */
export function createTriesStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  const { apart } = database;
  return {
    /**
     * Counts a try before it is made, so that tries made at once cannot pass the limit together.
     * @returns until when nothing may be tried, and counts nothing then; null when it may.
     */
    async take(limits: readonly TryLimit[], now: Date): Promise<Date | null> {
      // In one order everywhere, so that two transactions never wait for each other.
      const ordered = limits.toSorted((a, b) => Buffer.compare(a.countedBy, b.countedBy));
      try {
        await apart(() =>
          platform.transaction().execute(async (tx) => {
            for (const limit of ordered) await takeOne(tx, limit, now);
          }),
        );
        return null;
      } catch (error) {
        if (error instanceof Locked) return error.until;
        throw error;
      }
    },

    /** A try that was right: what was counted of it is taken back, and the lock that it caused. */
    async giveBack(countedBy: readonly Buffer[]): Promise<void> {
      await apart(() =>
        sql`update sign_in_tries set tries = greatest(0, tries - 1), locked_until = null
          where counted_by = any(${countedBy as Buffer[]}::bytea[])`.execute(platform),
      );
    },

    async forget(countedBy: Buffer): Promise<void> {
      await apart(() => platform.deleteFrom('sign_in_tries').where('counted_by', '=', countedBy).execute());
    },

    isKnownNetwork: async (userId: string, networkHash: Buffer): Promise<boolean> => {
      const row = await platform
        .selectFrom('known_networks')
        .select('user_id')
        .where('user_id', '=', userId)
        .where('network_hash', '=', networkHash)
        .executeTakeFirst();
      return row !== undefined;
    },

    /** Keeps the newest 20 of a user. */
    async rememberNetwork(userId: string, networkHash: Buffer, now: Date): Promise<void> {
      await sql`insert into known_networks (user_id, network_hash, last_at) values (${userId}, ${networkHash}, ${now})
        on conflict (user_id, network_hash) do update set last_at = excluded.last_at`.execute(platform);
      await sql`delete from known_networks where user_id = ${userId} and network_hash in
        (select network_hash from known_networks where user_id = ${userId} order by last_at desc offset 20)`.execute(
        platform,
      );
    },

    removeOld: async (now: Date, batch: number): Promise<void> => {
      const before = new Date(now.getTime() - 24 * forgottenAfterMs);
      await sql`delete from sign_in_tries where counted_by in
        (select counted_by from sign_in_tries where last_at < ${before} limit ${batch})`.execute(platform);
    },
  };
}

async function takeOne(tx: Kysely<PeopleTables>, limit: TryLimit, now: Date): Promise<void> {
  const { countedBy, free, firstLockMs, longestLockMs } = limit;
  const fresh = new Date(now.getTime() - forgottenAfterMs);
  const counted = sql`case when t.last_at < ${fresh} then 1 else t.tries + 1 end`;
  const { rows } = await sql<{ tries: number }>`
    insert into sign_in_tries as t (counted_by, tries, last_at) values (${countedBy}, 1, ${now})
    on conflict (counted_by) do update set tries = ${counted}, last_at = ${now},
      locked_until = case when ${counted} < ${free}::int then null else ${now}::timestamptz + least(${longestLockMs}::float8,
        ${firstLockMs}::float8 * power(2, least(${maxDoublings}, ${counted} - ${free}::int))) * interval '1 millisecond' end
    where t.locked_until is null or t.locked_until <= ${now}
    returning tries`.execute(tx);
  if (rows.length > 0) return;
  const row = await tx
    .selectFrom('sign_in_tries')
    .select('locked_until')
    .where('counted_by', '=', countedBy)
    .executeTakeFirst();
  throw new Locked(row?.locked_until ?? now);
}
