import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import { type Budget, type BudgetScope, maxBudgets } from './budget.ts';
import type { Period, PeriodKind } from './period.ts';

interface BudgetRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly scope: BudgetScope;
  readonly scope_id: string | null;
  readonly period: PeriodKind;
  readonly limit_nano_usd: bigint;
  readonly alert_threshold_percent: number;
  readonly hard_limit: boolean;
  readonly hard_since: Date | null;
  readonly on_unpriced: 'allow' | 'refuse';
  readonly created_by: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}
type Tables = { budgets: BudgetRow };

/** What may be changed of a budget; what is absent stays. */
export type BudgetChange = Partial<
  Pick<Budget, 'limitNanoUsd' | 'alertThresholdPercent' | 'hardLimit' | 'onUnpriced'>
>;

/** What was spent by whom, nano-dollars. */
export interface SpentByWriters {
  /** By this process up to and with a row. */
  readonly own: bigint;
  /** By processes that do not live. */
  readonly base: bigint;
}

/** About two seconds for each million rows where none of them is in memory; without its sum no call may be made at all. */
const longestSumMs = 120_000;

export type BudgetsStore = ReturnType<typeof createBudgetsStore>;

/** SQL of budgets, and the ledger's sums that they are compared with. */
export function createBudgetsStore(database: Database) {
  const platform = database.platform.withTables<Tables>();
  const tables = (tx: Tx) => tx.withTables<Tables>();

  return {
    /** Hard budgets of all tenants, or of one. */
    async hard(tenantId?: string): Promise<Budget[]> {
      let query = platform.selectFrom('budgets').selectAll().where('hard_limit', '=', true);
      if (tenantId !== undefined) query = query.where('tenant_id', '=', tenantId);
      return (await query.orderBy('created_at').execute()).map(budgetOf);
    },

    /** @returns why it cannot be, if it cannot: nothing is stored then. */
    insert: (
      scope: DatabaseScope,
      budget: Budget,
    ): Promise<'stored' | 'too_many' | 'no_such_user' | 'no_such_key' | { readonly existing: string }> =>
      database.inTenant(scope, async (tx) => {
        // One at a time for each tenant, so that the count holds.
        await sql`select pg_advisory_xact_lock(hashtextextended('budgets:' || ${scope.tenantId}, 0))`.execute(
          tx,
        );
        if (budget.scope === 'user' && !(await exists(tx, 'users', budget.scopeId))) return 'no_such_user';
        if (budget.scope === 'key' && !(await exists(tx, 'api_keys', budget.scopeId))) return 'no_such_key';
        const same = await tables(tx)
          .selectFrom('budgets')
          .select('id')
          .where('scope', '=', budget.scope)
          .where('scope_id', 'is not distinct from', budget.scopeId)
          .where('period', '=', budget.period)
          .executeTakeFirst();
        if (same) return { existing: same.id };
        const { count } = await tables(tx)
          .selectFrom('budgets')
          .select((eb) => eb.fn.countAll<bigint>().as('count'))
          .executeTakeFirstOrThrow();
        if (count >= maxBudgets) return 'too_many';
        await tables(tx).insertInto('budgets').values(rowOf(budget)).execute();
        return 'stored';
      }),

    page: (scope: DatabaseScope, page: Page<PageCursor>): Promise<Budget[]> =>
      database.inTenant(scope, async (tx) => {
        const after = page.after
          ? sql`where (created_at, id) < (${page.after.createdAt}, ${page.after.id})`
          : sql``;
        const { rows } = await sql<BudgetRow>`select * from budgets ${after}
          order by created_at desc, id desc limit ${page.limit}`.execute(tx);
        return rows.map(budgetOf);
      }),

    find: (scope: DatabaseScope, id: string): Promise<Budget | null> =>
      database.inTenant(scope, async (tx) => {
        const row = await tables(tx)
          .selectFrom('budgets')
          .selectAll()
          .where('id', '=', id)
          .executeTakeFirst();
        return row ? budgetOf(row) : null;
      }),

    /** @returns the budget as it is now; null when the tenant has none of that id. */
    change: (scope: DatabaseScope, id: string, change: BudgetChange, now: Date): Promise<Budget | null> =>
      database.inTenant(scope, async (tx) => {
        const { limitNanoUsd, alertThresholdPercent, hardLimit, onUnpriced } = change;
        const row = await tables(tx)
          .updateTable('budgets')
          .set({
            updated_at: now,
            ...(limitNanoUsd === undefined ? {} : { limit_nano_usd: limitNanoUsd }),
            ...(alertThresholdPercent === undefined
              ? {}
              : { alert_threshold_percent: alertThresholdPercent }),
            ...(hardLimit === undefined
              ? {}
              : {
                  hard_limit: hardLimit,
                  hard_since: hardLimit ? sql<Date>`coalesce(hard_since, ${now})` : null,
                }),
            ...(onUnpriced === undefined ? {} : { on_unpriced: onUnpriced }),
          })
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirst();
        return row ? budgetOf(row) : null;
      }),

    /** @returns whether the tenant had such a budget. */
    remove: (scope: DatabaseScope, id: string): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const { numDeletedRows } = await tables(tx)
          .deleteFrom('budgets')
          .where('id', '=', id)
          .executeTakeFirst();
        return numDeletedRows > 0n;
      }),

    /** What the ledger says was spent on one budget in a period, all attempts included, told apart by who wrote it. */
    spentByWriters: (
      budget: Budget,
      period: Period,
      writers: { readonly own: string; readonly upTo: number; readonly living: readonly string[] },
    ): Promise<SpentByWriters> =>
      database.inTenant({ tenantId: budget.tenantId, readerTokens: [] }, async (tx) => {
        await sql`set local statement_timeout = ${sql.lit(longestSumMs)}`.execute(tx);
        const { rows } = await sql<SpentByWriters>`select
            coalesce(sum(cost_nano_usd) filter (where writer = ${writers.own} and writer_seq <= ${writers.upTo}), 0)::bigint
              as own,
            coalesce(sum(cost_nano_usd) filter (where writer is null or writer <> all(${writers.living}::uuid[])), 0)::bigint
              as base
          from ledger where at >= ${new Date(period.startMs)} and at < ${new Date(period.endMs)}
            and cost_nano_usd > 0 and ${isSpentOn(budget)}`.execute(tx);
        const [sums] = rows;
        if (!sums) throw new Error('an aggregate without groups always gives a row');
        return sums;
      }),

    /** Which of these calls have their own row in the ledger. */
    async recorded(callIds: readonly string[]): Promise<ReadonlySet<string>> {
      const { rows } = await sql<{
        id: string;
      }>`select id from ledger where id = any(${callIds}::uuid[])`.execute(database.platform);
      return new Set(rows.map(({ id }) => id));
    },
  };
}

async function exists(tx: Tx, table: 'users' | 'api_keys', id: string | null): Promise<boolean> {
  const { rows } = await sql`select 1 from ${sql.table(table)} where id::text = ${id}`.execute(tx);
  return rows.length > 0;
}

/** Which rows of a tenant's ledger count on a budget. `HardBudgets.of` says the same of a row on its way there. */
function isSpentOn({ scope, scopeId }: Budget) {
  switch (scope) {
    case 'tenant':
      return sql`true`;
    case 'user':
      return sql`user_id = ${scopeId}::uuid`;
    case 'key':
      return sql`key_id = ${scopeId}`;
    case 'prompt':
      return sql`prompt_id = ${scopeId}`;
    case 'model':
      return sql`(model = ${scopeId} or route = ${scopeId})`;
    case 'tag':
      return sql`${scopeId} = any(tags)`;
  }
}

function budgetOf(row: BudgetRow): Budget {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    scope: row.scope,
    scopeId: row.scope_id,
    period: row.period,
    limitNanoUsd: row.limit_nano_usd,
    alertThresholdPercent: row.alert_threshold_percent,
    hardLimit: row.hard_limit,
    hardSince: row.hard_since,
    onUnpriced: row.on_unpriced,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function rowOf(budget: Budget): BudgetRow {
  return {
    id: budget.id,
    tenant_id: budget.tenantId,
    scope: budget.scope,
    scope_id: budget.scopeId,
    period: budget.period,
    limit_nano_usd: budget.limitNanoUsd,
    alert_threshold_percent: budget.alertThresholdPercent,
    hard_limit: budget.hardLimit,
    hard_since: budget.hardSince,
    on_unpriced: budget.onUnpriced,
    created_by: budget.createdBy,
    created_at: budget.createdAt,
    updated_at: budget.updatedAt,
  };
}
