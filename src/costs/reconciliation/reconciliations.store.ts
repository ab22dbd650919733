import { type Kysely, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { PageCursor } from '../../platform/page.ts';
import type { LedgerUsage } from './compare.ts';

/** Whose calls are compared: a tenant's, or all that went to a provider of the platform's. */
export type ReconciliationScope = DatabaseScope | 'platform';

export interface ReconciliationHead {
  readonly id: string;
  readonly format: string;
  readonly provider: string;
  readonly period_start: Date;
  readonly period_end: Date;
  readonly tolerance_percent: string;
  readonly within_tolerance: boolean;
  readonly totals: unknown;
  readonly created_by: string;
  readonly created_at: Date;
}

export interface ReconciliationRow extends ReconciliationHead {
  readonly lines: readonly unknown[];
}

interface UsageRow {
  readonly day: string;
  readonly model: string;
  readonly calls: bigint;
  readonly unpriced: bigint;
  readonly input: bigint;
  readonly cached_read: bigint;
  readonly cache_write_5m: bigint;
  readonly cache_write_1h: bigint;
  readonly output: bigint;
  readonly nano_usd: bigint;
}

export type ReconciliationsStore = ReturnType<typeof createReconciliationsStore>;

const head = `id, format, provider, period_start, period_end, tolerance_percent, within_tolerance, totals,
  created_by, created_at`;

/** SQL of reconciliations, and of what the ledger has of a provider by day and model. */
export function createReconciliationsStore(database: Database) {
  const within = <T>(scope: ReconciliationScope, work: (db: Kysely<unknown>) => Promise<T>): Promise<T> =>
    scope === 'platform' ? work(database.platform) : database.inTenant(scope, work);
  const owned = (scope: ReconciliationScope) =>
    scope === 'platform' ? sql`tenant_id is null` : sql`tenant_id = ${scope.tenantId}`;

  return {
    /**
     * Every attempt that a provider was asked for, what it was repriced to included. Answers from the cache and counts of
     * tokens are not: nobody charges for them.
     * @param without tenants that have a provider of that name of their own, whose calls went elsewhere.
     * @returns at most `limit` models and days.
     */
    usage: (
      scope: ReconciliationScope,
      asked: {
        readonly provider: string;
        readonly from: Date;
        readonly to: Date;
        readonly without: readonly string[];
        readonly limit: number;
      },
    ): Promise<LedgerUsage[]> =>
      within(scope, async (db) => {
        const { from, to, provider, without } = asked;
        // Tenant by tenant, because the ledger is indexed so.
        const tenants =
          scope === 'platform'
            ? sql`select id from tenants where not (id = any (${without}))`
            : sql`select ${scope.tenantId}::uuid as id`;
        const ofTenant = scope === 'platform' ? sql`` : sql`and tenant_id = ${scope.tenantId}`;
        const { rows } = await sql<UsageRow>`with repriced as (
            select ledger_id, sum(delta_nano_usd) as delta from ledger_adjustments
            where kind = 'reprice' and at >= ${from} and at < ${to} and provider = ${provider} ${ofTenant}
            group by ledger_id
          )
          select to_char(l.at at time zone 'UTC', 'YYYY-MM-DD') as day,
            coalesce(l.response_model, l.model) as model, count(*) as calls,
            count(*) filter (where l.pricing_state = 'unpriced' and a.delta is null) as unpriced,
            sum(l.input_tokens)::bigint as input, sum(l.cached_read_tokens)::bigint as cached_read,
            sum(l.cache_write_5m_tokens)::bigint as cache_write_5m,
            sum(l.cache_write_1h_tokens)::bigint as cache_write_1h, sum(l.output_tokens)::bigint as output,
            (coalesce(sum(l.cost_nano_usd), 0) + coalesce(sum(a.delta), 0))::bigint as nano_usd
          from (${tenants}) as t
          cross join lateral (
            select * from ledger where tenant_id = t.id and at >= ${from} and at < ${to} and provider = ${provider}
              and pricing_state <> 'free'
          ) as l
          left join repriced as a on a.ledger_id = l.id
          group by 1, 2 limit ${asked.limit}`.execute(db);
        return rows.map(({ day, model, calls, unpriced, nano_usd, ...tokens }) => ({
          day,
          model,
          calls: Number(calls),
          unpriced: Number(unpriced),
          tokens: {
            input: Number(tokens.input),
            cached_read: Number(tokens.cached_read),
            cache_write_5m: Number(tokens.cache_write_5m),
            cache_write_1h: Number(tokens.cache_write_1h),
            output: Number(tokens.output),
          },
          nanoUsd: nano_usd,
        }));
      }),

    add: (scope: ReconciliationScope, row: ReconciliationRow): Promise<void> =>
      within(scope, async (db) => {
        await sql`insert into reconciliations (id, tenant_id, format, provider, period_start, period_end,
            tolerance_percent, within_tolerance, totals, lines, created_by, created_at)
          values (${row.id}, ${scope === 'platform' ? null : scope.tenantId}, ${row.format}, ${row.provider},
            ${row.period_start}, ${row.period_end}, ${row.tolerance_percent}, ${row.within_tolerance},
            ${JSON.stringify(row.totals)}::jsonb, ${JSON.stringify(row.lines)}::jsonb, ${row.created_by},
            ${row.created_at})`.execute(db);
      }),

    /** Newest first. */
    page: (
      scope: ReconciliationScope,
      asked: { readonly limit: number; readonly after: PageCursor | null },
    ): Promise<ReconciliationHead[]> =>
      within(scope, async (db) => {
        const { after } = asked;
        const { rows } = await sql<ReconciliationHead>`select ${sql.raw(head)} from reconciliations
          where ${owned(scope)} ${after ? sql`and (created_at, id) < (${after.createdAt}, ${after.id})` : sql``}
          order by created_at desc, id desc limit ${asked.limit}`.execute(db);
        return rows;
      }),

    find: (scope: ReconciliationScope, id: string): Promise<ReconciliationRow | undefined> =>
      within(scope, async (db) => {
        const { rows } = await sql<ReconciliationRow>`select ${sql.raw(head)}, lines from reconciliations
          where id = ${id} and ${owned(scope)}`.execute(db);
        return rows[0];
      }),
  };
}
