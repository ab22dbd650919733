import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';

/** Stands for this work among the application's locks. */
const lockClass = 1_196_705_641;

/** Does the work while no other instance does it; lets it be when one is at it. The lock lasts as long as the work. */
export function alone(database: Database, work: () => Promise<void>): Promise<void> {
  return database.platform.transaction().execute(async (tx) => {
    const { rows } = await sql<{ held: boolean }>`
      select pg_try_advisory_xact_lock(${lockClass}::int, 0) as held`.execute(tx);
    if (rows[0]?.held) await work();
  });
}
