import { sql } from 'kysely';
import type { Database, Tx } from '../../platform/database/database.ts';
import { dimensionColumns, joinAllValues, priced } from './dimensions.ts';
import { measures, measuresOfAdjustment, measuresOfRow, selected } from './measures.ts';

/** Up to where a table was rolled up: every row whose (added_by, id) is at most this, and no other. */
export interface Taken {
  /** A transaction's number, of 64 bits, as decimal digits. */
  readonly addedBy: string;
  readonly id: string;
}

export interface Horizon {
  readonly ledger: Taken;
  readonly adjustments: Taken;
  /** Rollups of a dimension by the hour are kept from here on. Null: from the beginning. */
  readonly hoursSince: Date | null;
}

type Source = keyof Pick<Horizon, 'ledger' | 'adjustments'>;

/** `busy`: another instance is at it; `done`: nothing is left that can be taken yet; `more`: it goes on. */
export type RollUpOutcome = 'busy' | 'done' | 'more';

export type RollupStore = ReturnType<typeof createRollupStore>;

interface HorizonRow {
  ledger_added_by: string;
  ledger_id: string;
  adjustments_added_by: string;
  adjustments_id: string;
  hours_since: Date | null;
}

const horizonColumns = `ledger_added_by::text, ledger_id, adjustments_added_by::text, adjustments_id,
  case when isfinite(hours_since) then hours_since end as hours_since`;
const tableOf: { readonly [source in Source]: string } = {
  ledger: 'ledger',
  adjustments: 'ledger_adjustments',
};
const measuresOf = { ledger: measuresOfRow, adjustments: measuresOfAdjustment };
const measureList = measures.join(', ');
const dayMs = 86_400_000;
/** Those of which only months are kept. */
const byMonthOnly = `dimension in (${priced.map((dimension) => `'${dimension}'`).join(', ')})`;

/** The horizon as this transaction's snapshot has it. */
export async function readHorizon(tx: Tx): Promise<Horizon> {
  const { rows } = await sql<HorizonRow>`select ${sql.raw(horizonColumns)} from cost_rollup_horizon`.execute(
    tx,
  );
  return horizonOf(rows[0]);
}

/** SQL of the job that keeps rollups; every statement runs as the owner role, for all tenants. */
export function createRollupStore(database: Pick<Database, 'platform'>) {
  return {
    /**
     * Takes the next rows, at most `maxRows` of each table, in one transaction with moving the horizon behind them.
     * Only rows of transactions that are over are taken: `added_by` below the oldest one still running. No further row
     * can then appear at or before the horizon, so each is taken exactly once, in whatever order they are committed.
     */
    rollUp: (maxRows: number): Promise<RollUpOutcome> =>
      database.platform.transaction().execute(async (tx) => {
        const horizon = await lockHorizon(tx);
        if (horizon === null) return 'busy';
        const ledger = await take(tx, 'ledger', horizon, maxRows);
        const adjustments = await take(tx, 'adjustments', horizon, maxRows);
        return ledger || adjustments ? 'more' : 'done';
      }),

    /**
     * Forgets rollups by the hour that are older than `since`, one day of them at a time.
     * @param since the beginning of a day in UTC.
     */
    keepHoursSince: (since: Date): Promise<RollUpOutcome> =>
      database.platform.transaction().execute(async (tx) => {
        const horizon = await lockHorizon(tx);
        if (horizon === null) return 'busy';
        if (horizon.hoursSince !== null && horizon.hoursSince >= since) return 'done';
        const dayLater = (horizon.hoursSince?.getTime() ?? since.getTime()) + dayMs;
        const day = new Date(Math.min(since.getTime(), dayLater));
        await sql`delete from cost_rollups
          where grain = 'hour' and dimension <> 'all' and bucket < ${day}`.execute(tx);
        await sql`update cost_rollup_horizon set hours_since = ${day}`.execute(tx);
        return day < since ? 'more' : 'done';
      }),

    /**
     * A dump restored into another server has rows from transactions that this server has yet to come to. Numbers them
     * anew, as added by one transaction of this server, and lets rollups begin again.
     * @returns whether that was so.
     */
    renumberAfterRestore: (): Promise<boolean> =>
      database.platform.transaction().execute(async (tx) => {
        const horizon = await lockHorizon(tx, 'wait');
        if (horizon === null || !(await isAhead(tx, horizon))) return false;
        await sql`set local statement_timeout = 0`.execute(tx);
        for (const table of Object.values(tableOf)) {
          // Not an update, which the tables refuse: the rows stay what they are.
          await sql`alter table ${sql.table(table)}
            alter column added_by type xid8 using pg_current_xact_id()`.execute(tx);
        }
        await sql`delete from cost_rollups`.execute(tx);
        await sql`update cost_rollup_horizon set ledger_added_by = default, ledger_id = default,
          adjustments_added_by = default, adjustments_id = default`.execute(tx);
        return true;
      }),
  };
}

async function lockHorizon(tx: Tx, otherwise: 'skip' | 'wait' = 'skip'): Promise<Horizon | null> {
  const { rows } = await sql<HorizonRow>`select ${sql.raw(horizonColumns)} from cost_rollup_horizon
    for update ${sql.raw(otherwise === 'skip' ? 'skip locked' : '')}`.execute(tx);
  return rows[0] ? horizonOf(rows[0]) : null;
}

/** No transaction that this one can see may have a number that was not given out yet. */
async function isAhead(tx: Tx, { ledger, adjustments }: Horizon): Promise<boolean> {
  const { rows } = await sql<{ ahead: boolean }>`select pg_snapshot_xmax(pg_current_snapshot()) <= any (array[
      ${ledger.addedBy}::xid8, ${adjustments.addedBy}::xid8,
      (select added_by from ledger order by added_by desc limit 1),
      (select added_by from ledger_adjustments order by added_by desc limit 1)]) as ahead`.execute(tx);
  return rows[0]?.ahead === true;
}

async function take(tx: Tx, source: Source, horizon: Horizon, maxRows: number): Promise<boolean> {
  const table = sql.table(tableOf[source]);
  const { addedBy, id } = horizon[source];
  const { rows } = await sql<{ added_by: string; id: string }>`select added_by::text as added_by, id from (
      select added_by, id from ${table}
      where (added_by, id) > (${addedBy}::xid8, ${id}::uuid) and added_by < pg_snapshot_xmin(pg_current_snapshot())
      order by added_by, id limit ${maxRows}) next
    order by next.added_by desc, next.id desc limit 1`.execute(tx);
  const last = rows[0];
  if (!last) return false;
  const taken = sql`(added_by, id) > (${addedBy}::xid8, ${id}::uuid)
    and (added_by, id) <= (${last.added_by}::xid8, ${last.id}::uuid)`;
  await sql`with facts as materialized (
      select tenant_id, at, ${sql.raw(dimensionColumns)}, price_id, ${sql.raw(selected(measuresOf[source]))}
      from ${table} where ${taken}
    ), fine as materialized (
      select tenant_id, dimension, value,
        date_bin(case when dimension = 'all' then interval '15 minutes' else interval '1 hour' end, at, 'epoch') as bucket,
        ${sql.raw(boundedSums)}
      from facts ${sql.raw(joinAllValues(source))}
      group by 1, 2, 3, 4
    )
    insert into cost_rollups (tenant_id, dimension, grain, bucket, value, ${sql.raw(measureList)})
    select tenant_id, dimension, case when dimension = 'all' then 'quarter' else 'hour' end, bucket, value,
      ${sql.raw(measureList)}
    from fine where dimension = 'all' or not ${sql.raw(byMonthOnly)}
      and bucket >= coalesce(${horizon.hoursSince}::timestamptz, '-infinity')
    union all
    select tenant_id, dimension, 'hour', date_trunc('hour', bucket, 'UTC'), value, ${sql.raw(boundedSums)}
    from fine where dimension = 'all' group by 1, 2, 4, 5
    union all
    select tenant_id, dimension, 'day', date_trunc('day', bucket, 'UTC'), value, ${sql.raw(boundedSums)}
    from fine where not ${sql.raw(byMonthOnly)} group by 1, 2, 4, 5
    union all
    select tenant_id, dimension, 'month', date_trunc('month', bucket, 'UTC'), value, ${sql.raw(boundedSums)}
    from fine group by 1, 2, 4, 5
    on conflict (tenant_id, dimension, grain, bucket, value) do update set ${sql.raw(added)}`.execute(tx);
  await sql`insert into cost_alert_checks (tenant_id, due_since)
    select tenant_id, clock_timestamp() from ${table} where ${taken} group by tenant_id
    on conflict (tenant_id) do update set due_since = excluded.due_since`.execute(tx);
  await sql`update cost_rollup_horizon set ${sql.ref(`${source}_added_by`)} = ${last.added_by}::xid8,
    ${sql.ref(`${source}_id`)} = ${last.id}::uuid, moved_at = clock_timestamp()`.execute(tx);
  return true;
}

/**
 * Sums end here, four billion dollars, so that two of them are within 64 bits: what one tenant's provider makes up must not
 * keep the rollups of all from going on.
 */
const mostSummed = 4_000_000_000_000_000_000n;
const bounded = (sum: string) => `least(greatest(${sum}, -${mostSummed}), ${mostSummed})`;
const boundedSums = measures
  .map((measure) => `${bounded(`coalesce(sum(${measure}), 0)`)}::bigint as ${measure}`)
  .join(', ');
const added = measures
  .map((measure) => `${measure} = ${bounded(`cost_rollups.${measure} + excluded.${measure}`)}`)
  .join(', ');

function horizonOf(row: HorizonRow | undefined): Horizon {
  if (!row) throw new Error('the horizon of the rollups is gone; its migration wrote it');
  return {
    ledger: { addedBy: row.ledger_added_by, id: row.ledger_id },
    adjustments: { addedBy: row.adjustments_added_by, id: row.adjustments_id },
    hoursSince: row.hours_since,
  };
}
