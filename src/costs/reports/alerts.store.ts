import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import { maxBudgets } from '../budgets/budget.ts';
import type { AlertFound, AlertKind, BudgetToCheck } from './alert.ts';

export interface AlertRow {
  readonly id: string;
  readonly kind: AlertKind;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly subject: string;
  readonly dedupe_key: string;
  readonly title: string;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly created_at: Date;
  readonly acknowledged_by: string | null;
  readonly acknowledged_at: Date | null;
}

/** A tenant whose alerts are to be looked at. */
export interface DueTenant {
  readonly tenantId: string;
  readonly timeZone: string;
  readonly dueSince: string;
}

export type AlertsStore = ReturnType<typeof createAlertsStore>;

/** Longer than it takes to commit a change, and than the clocks of instances are apart. */
const changedJustNowMs = 10_000;

const columns = sql.raw(
  'id, kind, severity, subject, dedupe_key, title, text, data, created_at, acknowledged_by, acknowledged_at',
);

export function createAlertsStore(database: Pick<Database, 'inTenant' | 'platform'>) {
  return {
    /** Tenants with rows or budgets that are newer than their alerts, in the order of their ids. */
    async due(afterTenantId: string | null, limit: number): Promise<DueTenant[]> {
      const later = afterTenantId === null ? sql`` : sql`where tenant_id > ${afterTenantId}`;
      const { rows } = await sql<DueTenant>`select tenant_id as "tenantId", time_zone as "timeZone",
          due_since::text as "dueSince"
        from cost_alert_checks join tenants on tenants.id = tenant_id ${later}
        order by tenant_id limit ${limit}`.execute(database.platform);
      return rows;
    },

    budgets: (scope: DatabaseScope): Promise<BudgetToCheck[]> =>
      database.inTenant(scope, async (tx) => {
        const { rows } =
          await sql<BudgetToCheck>`select id, scope, scope_id, period, limit_nano_usd, alert_threshold_percent,
            hard_limit from budgets order by id limit ${maxBudgets}`.execute(tx);
        return rows;
      }),

    /**
     * Writes alerts that are news, calls back for each in the same transaction, and notes that the tenant was looked at,
     * unless it became due again meanwhile. A changed budget does not say so where the tenant was due already, so one that
     * was changed just now may have been read as it was before, and is looked at once more.
     */
    raise: (
      due: DueTenant,
      found: readonly (AlertFound & { readonly id: string })[],
      at: Date,
      raised: (tx: Tx, alert: AlertFound & { readonly id: string }) => Promise<unknown>,
    ): Promise<number> =>
      database.inTenant({ tenantId: due.tenantId, readerTokens: [] }, async (tx) => {
        let news = 0;
        for (const alert of found) {
          const { id, kind, severity, subject, dedupeKey, title, text, data } = alert;
          const { numAffectedRows } =
            await sql`insert into cost_alerts (id, tenant_id, kind, severity, subject,
              dedupe_key, title, text, data, created_at)
            values (${id}, ${due.tenantId}, ${kind}, ${severity}, ${subject}, ${dedupeKey}, ${title}, ${text},
              ${JSON.stringify(data)}::jsonb, ${at}) on conflict (tenant_id, dedupe_key) do nothing`.execute(
              tx,
            );
          if (numAffectedRows !== 1n) continue;
          news += 1;
          await raised(tx, alert);
        }
        await sql`delete from cost_alert_checks
          where tenant_id = ${due.tenantId} and due_since = ${due.dueSince}::timestamptz
            and not exists (select from budgets where updated_at > ${new Date(at.getTime() - changedJustNowMs)})`.execute(
          tx,
        );
        return news;
      }),

    page: (
      scope: DatabaseScope,
      page: Page<PageCursor> & {
        readonly kind: AlertKind | null;
        readonly state: 'open' | 'acknowledged' | 'all';
      },
    ): Promise<AlertRow[]> =>
      database.inTenant(scope, async (tx) => {
        const { after, kind, state } = page;
        const behind = after ? sql`and (created_at, id) < (${after.createdAt}, ${after.id}::uuid)` : sql``;
        const ofKind = kind ? sql`and kind = ${kind}` : sql``;
        const inState =
          state === 'all' ? sql`` : sql`and (acknowledged_at is null) = ${state === 'open'}::boolean`;
        const { rows } = await sql<AlertRow>`select ${columns} from cost_alerts
          where true ${behind} ${ofKind} ${inState}
          order by created_at desc, id desc limit ${page.limit}`.execute(tx);
        return rows;
      }),

    /**
     * Notes who has seen an alert; whoever was first stays. Calls back in the same transaction when that is news.
     * @returns null when the tenant has no such alert.
     */
    acknowledge: (
      scope: DatabaseScope,
      id: string,
      by: string,
      at: Date,
      acknowledged: (tx: Tx, alert: AlertRow) => Promise<unknown>,
    ): Promise<AlertRow | null> =>
      database.inTenant(scope, async (tx) => {
        const { rows } =
          await sql<AlertRow>`update cost_alerts set acknowledged_by = ${by}, acknowledged_at = ${at}
          where id = ${id}::uuid and acknowledged_at is null returning ${columns}`.execute(tx);
        if (rows[0]) {
          await acknowledged(tx, rows[0]);
          return rows[0];
        }
        const { rows: known } =
          await sql<AlertRow>`select ${columns} from cost_alerts where id = ${id}::uuid`.execute(tx);
        return known[0] ?? null;
      }),
  };
}
