import { type RawBuilder, sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import { type Dimension, dimensionColumns, joinValues, type Summed } from './dimensions.ts';
import { measures, measuresOfAdjustment, measuresOfRow, type Sums, selected, summed } from './measures.ts';
import { type Horizon, readHorizon, type Taken } from './rollup.store.ts';
import { divide, type Grain, type Span } from './spans.ts';
import { beginsWithHours } from './zoned-time.ts';

/** A time span of a report, `from` included and `to` not. */
export interface Period {
  readonly from: Date;
  readonly to: Date;
}

/** One line of a breakdown. Null: rows that have no such value. */
export type BreakdownLine = Sums & { readonly value: string | null };
/** One day of the tenant's, such as `2026-11-21`. */
export type DayLine = Sums & { readonly day: string };
/** Where a page of a breakdown went on: behind this line of the page before. */
export interface BreakdownCursor {
  readonly costNanoUsd: bigint;
  readonly value: string | null;
}

export type ReportStore = ReturnType<typeof createReportStore>;

const measureList = sql.raw(measures.join(', '));
const summedList = sql.raw(summed);
const grainsOf = (dimension: Summed): readonly Grain[] =>
  dimension === 'all' ? ['month', 'day', 'quarter'] : ['month', 'day', 'hour'];

/**
 * SQL of reports. Each is read in one snapshot: rollups, what they do not hold yet, and the horizon between the two. So
 * a report is exactly the sum of the rows that are committed, whatever the job that rolls up is doing.
 */
export function createReportStore(database: Pick<Database, 'inTenant'>) {
  const inSnapshot = <T>(scope: DatabaseScope, read: (tx: Tx, horizon: Horizon) => Promise<T>): Promise<T> =>
    database.inTenant(scope, async (tx) => read(tx, await readHorizon(tx)), 'one_snapshot');

  return {
    /** Sums over all of the tenant's rows of a period. */
    sums: (scope: DatabaseScope, period: Period): Promise<Sums> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf('all', period, grainsOf('all'), horizon);
        const { rows } = await sql<Sums>`select ${summedList} from (${lines}) lines`.execute(tx);
        return onlyRow(rows);
      }),

    /** What was spent on one value of a dimension in a period, nano-dollars. */
    spent: (scope: DatabaseScope, dimension: Summed, value: string | null, period: Period): Promise<bigint> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf(dimension, period, grainsOf(dimension), horizon);
        const { rows } = await sql<{ cost: bigint }>`
          select coalesce(sum(cost_nano_usd), 0)::bigint as cost from (${lines}) lines
          where value is not distinct from ${value}`.execute(tx);
        return onlyRow(rows).cost;
      }),

    /** Lines with the highest cost first, then by value; at most `limit`. */
    breakdown: (
      scope: DatabaseScope,
      dimension: Dimension,
      period: Period,
      page: { readonly limit: number; readonly after: BreakdownCursor | null },
    ): Promise<BreakdownLine[]> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf(dimension, period, grainsOf(dimension), horizon);
        // Rows without a value come last among those of one cost. The order of bytes is the same on every server.
        const after =
          page.after === null
            ? sql``
            : sql`where (-cost_nano_usd, value is null, coalesce(value, '') collate "C")
                > (${-page.after.costNanoUsd}::bigint, ${page.after.value === null}, ${page.after.value ?? ''} collate "C")`;
        const { rows } = await sql<BreakdownLine>`
          select * from (select value, ${summedList} from (${lines}) lines group by value) groups ${after}
          order by -cost_nano_usd, value is null, coalesce(value, '') collate "C" limit ${page.limit}`.execute(
          tx,
        );
        return rows;
      }),

    /**
     * Sums by the days of a time zone, in order; days without rows are left out. Days begin with a quarter of an hour in
     * every time zone there is, so they are exact without single rows, also when clocks are changed.
     */
    days: (
      scope: DatabaseScope,
      period: Period,
      timeZone: string,
      page: { readonly limit: number; readonly after: string | null },
    ): Promise<DayLine[]> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf('all', period, dayGrains(timeZone, period), horizon);
        const { rows } = await sql<DayLine>`
          select to_char(day, 'YYYY-MM-DD') as day, ${measureList} from (
            select (at at time zone ${timeZone})::date as day, ${summedList} from (${lines}) lines group by 1) days
          where ${page.after}::date is null or day > ${page.after}::date order by day limit ${page.limit}`.execute(
          tx,
        );
        return rows;
      }),

    /**
     * Cost by the days of a time zone of one value of a dimension, from rollups by the hour: where the time zone is off
     * by half an hour, what falls in that half hour counts for the other day. For forecasts, which are no sums.
     */
    dailyCost: (
      scope: DatabaseScope,
      dimension: Summed,
      value: string | null,
      period: Period,
      timeZone: string,
    ): Promise<{ day: string; cost_nano_usd: bigint }[]> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf(dimension, period, ['hour'], horizon);
        const { rows } = await sql<{ day: string; cost_nano_usd: bigint }>`
          select to_char((at at time zone ${timeZone})::date, 'YYYY-MM-DD') as day,
            sum(cost_nano_usd)::bigint as cost_nano_usd
          from (${lines}) lines where value is not distinct from ${value} group by 1 order by 1`.execute(tx);
        return rows;
      }),

    /** Models that were called without a price, those with the most tokens first; at most `limit`. */
    unpricedModels: (
      scope: DatabaseScope,
      period: Period,
      limit: number,
    ): Promise<{ value: string; unpriced_calls: bigint; unpriced_tokens: bigint }[]> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf('model', period, grainsOf('model'), horizon);
        const { rows } = await sql<{ value: string; unpriced_calls: bigint; unpriced_tokens: bigint }>`
          select value, sum(unpriced_calls)::bigint as unpriced_calls, sum(unpriced_tokens)::bigint as unpriced_tokens
          from (${lines}) lines where value is not null group by value having sum(unpriced_calls) > 0
          order by 3 desc, 1 limit ${limit}`.execute(tx);
        return rows;
      }),

    /** Cost by UTC hour, in order; hours without rows are left out. */
    hourlyCost: (scope: DatabaseScope, period: Period): Promise<{ hour: Date; cost_nano_usd: bigint }[]> =>
      inSnapshot(scope, async (tx, horizon) => {
        const lines = linesOf('all', period, ['hour', 'quarter'], horizon);
        const { rows } = await sql<{ hour: Date; cost_nano_usd: bigint }>`
          select date_trunc('hour', at, 'UTC') as hour, sum(cost_nano_usd)::bigint as cost_nano_usd
          from (${lines}) lines group by 1 order by 1`.execute(tx);
        return rows;
      }),
  };
}

/** Hours where every day begins with one, quarters elsewhere. */
function dayGrains(timeZone: string, period: Period): readonly Grain[] {
  return beginsWithHours(timeZone, period) ? ['hour', 'quarter'] : ['quarter'];
}

/** SQL of the lines that add up to a period: `value`, `at` (when, or the beginning of when) and the measures. */
function linesOf(
  dimension: Summed,
  period: Period,
  grains: readonly Grain[],
  horizon: Horizon,
): RawBuilder<unknown> {
  const span = { from: period.from.getTime(), to: period.to.getTime() };
  const hoursSince = dimension === 'all' ? undefined : horizon.hoursSince?.getTime();
  const { rolled, edges } = divide(span, grains, hoursSince);
  const rollups = rolled.map(
    ({ grain, from, to }) => sql`select value, bucket as at, ${measureList} from cost_rollups
      where dimension = ${dimension} and grain = ${grain}
        and bucket >= ${new Date(from)}::timestamptz and bucket < ${new Date(to)}::timestamptz`,
  );
  const ledger = rowsOf('ledger', measuresOfRow, dimension, rolled, edges, horizon.ledger);
  const adjusted = rowsOf(
    'ledger_adjustments',
    measuresOfAdjustment,
    dimension,
    rolled,
    edges,
    horizon.adjustments,
  );
  return sql.join([...rollups, ...ledger, ...adjusted], sql` union all `);
}

/** Single rows: all of the edges, and of what rollups fill those that are behind the horizon. */
function rowsOf(
  table: 'ledger' | 'ledger_adjustments',
  expressions: typeof measuresOfRow,
  dimension: Summed,
  rolled: readonly Span[],
  edges: readonly Span[],
  taken: Taken,
): RawBuilder<unknown>[] {
  const select = (condition: RawBuilder<unknown>) => sql`select about.value, facts.at, ${measureList} from (
      select at, ${sql.raw(dimensionColumns)}, ${sql.raw(selected(expressions))} from ${sql.table(table)}
      where ${condition}) facts ${sql.raw(joinValues(dimension))}`;
  const during = ({ from, to }: Span) =>
    sql`(at >= ${new Date(from)}::timestamptz and at < ${new Date(to)}::timestamptz)`;
  const parts = edges.map((edge) => select(during(edge)));
  if (rolled.length === 0) return parts;
  const behind = sql`(added_by, id) > (${taken.addedBy}::xid8, ${taken.id}::uuid)`;
  return [...parts, select(sql`${behind} and (${sql.join(rolled.map(during), sql` or `)})`)];
}

function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('an aggregate without groups always gives a row');
  return row;
}
