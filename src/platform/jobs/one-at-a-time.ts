import pg from 'pg';
import type { Clock } from '../clock.ts';

/** Stands for the start of job runners among the application's locks. */
const lockClass = 1_196_705_642;
const lookMs = 100;

/**
 * Does the work while no other process on the database does it. Asks for the lock again and again instead of waiting in
 * the database: the library builds indexes beside the work of others, which waits for every statement that is under way.
 */
export async function oneAtATime<T>(
  url: string,
  clock: Pick<Clock, 'sleep'>,
  work: () => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'gatehouse jobs start' });
  // Lost, the lock is lost too; what follows fails or does not by itself.
  client.on('error', () => {});
  try {
    await client.connect();
    for (;;) {
      const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1, 0) as held', [
        lockClass,
      ]);
      if (rows[0]?.held) break;
      await clock.sleep(lookMs);
    }
    return await work();
  } finally {
    await client.end().catch(() => {});
  }
}
