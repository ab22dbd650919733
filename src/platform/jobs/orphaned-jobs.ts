import type pg from 'pg';

/**
 * Puts jobs back on their queues that were running in processes that ended. One statement decides for each job, so of
 * several survivors one takes it up. A process's name is never given again, so who is dead stays dead; whose lock is
 * missing for a moment is in `living` still.
 * @param living the names of processes that are known to live.
 * @returns how many jobs go on.
 */
export async function takeUpOrphanedJobs(
  pool: Pick<pg.Pool, 'query'>,
  applicationVersion: string,
  living: readonly string[],
): Promise<number> {
  const dead = await pool.query<{ executor_id: string }>(
    `select distinct executor_id from dbos.workflow_status w
     where status = 'PENDING' and queue_name is not null and executor_id <> all($1::text[])
       and not exists (select from live_instances i where i.id::text = w.executor_id)`,
    [living],
  );
  if (dead.rows.length === 0) return 0;
  // As the library does for its own name at its start.
  const taken = await pool.query(
    `update dbos.workflow_status set status = 'ENQUEUED', started_at_epoch_ms = null, owner_xid = null,
       updated_at = (extract(epoch from now()) * 1000)::bigint
     where status = 'PENDING' and queue_name is not null and executor_id = any($1::text[]) and application_version = $2`,
    [dead.rows.map((row) => row.executor_id), applicationVersion],
  );
  return taken.rowCount ?? 0;
}
