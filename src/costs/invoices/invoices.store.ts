import { type Kysely, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { BillingMonth } from './billing-month.ts';
import {
  type InvoiceItem,
  type InvoiceSums,
  type StoredLine,
  stored,
  sumsOf,
  tokenClasses,
} from './invoice-lines.ts';

/** An issued invoice, without its lines. */
export interface InvoiceHead {
  readonly id: string;
  readonly number: string;
  readonly month: string;
  readonly time_zone: string;
  readonly period_start: Date;
  readonly period_end: Date;
  readonly tenant_name: string;
  readonly tenant_slug: string;
  readonly exact_nano_usd: bigint;
  readonly total_cents: bigint;
  readonly issued_at: Date;
}

export interface InvoiceRow extends InvoiceHead {
  readonly lines: readonly StoredLine[];
}

/** What decides which invoices a tenant lacks. */
export interface BillingState {
  readonly tenant_id: string;
  readonly slug: string;
  readonly name: string;
  readonly time_zone: string;
  /** The last issued invoice; null: none yet. */
  readonly last_month: string | null;
  readonly last_end: Date | null;
  /** The first thing that there is to ask for; null: nothing ever. */
  readonly first_at: Date | null;
}

export type InvoicesStore = ReturnType<typeof createInvoicesStore>;

const head = `id, number, month, time_zone, period_start, period_end, tenant_name, tenant_slug, exact_nano_usd,
  total_cents, issued_at`;
const state = sql`select t.id as tenant_id, t.slug, t.name, t.time_zone, last.month as last_month, last.period_end as last_end,
    least((select min(at) from ledger where tenant_id = t.id),
      (select min(at) from ledger_adjustments where tenant_id = t.id)) as first_at
  from tenants t left join lateral (
    select month, period_end from invoices where tenant_id = t.id order by period_start desc limit 1
  ) as last on true`;
/** Lines beyond these are gathered: callers can make names of models up. */
const maxUsageLines = 1_000;
const maxAdjustmentLines = 500;
/** Late calls are looked for in the invoices of so many months; the ledger is kept about as long. */
const lateMonths = 12;

type Reader = Kysely<unknown>;

/** SQL of invoices. What is asked for is read from the ledger and its adjustments, by tenant and month. */
export function createInvoicesStore(database: Database) {
  return {
    /** Tenants in the order of their ids. */
    billingStates: async (afterTenantId: string | null, limit: number): Promise<BillingState[]> => {
      const later = afterTenantId === null ? sql`` : sql`where t.id > ${afterTenantId}`;
      const { rows } = await sql<BillingState>`${state} ${later} order by t.id limit ${limit}`.execute(
        database.platform,
      );
      return rows;
    },
    billingState: async (tenantId: string): Promise<BillingState | undefined> => {
      const { rows } = await sql<BillingState>`${state} where t.id = ${tenantId}`.execute(database.platform);
      return rows[0];
    },

    /** Latest month first. */
    page: (
      scope: DatabaseScope,
      asked: {
        readonly limit: number;
        readonly after: { readonly createdAt: Date; readonly id: string } | null;
      },
    ): Promise<InvoiceHead[]> =>
      database.inTenant(scope, async (tx) => {
        const { after } = asked;
        const earlier = after ? sql`where (period_start, id) < (${after.createdAt}, ${after.id})` : sql``;
        const { rows } = await sql<InvoiceHead>`select ${sql.raw(head)} from invoices ${earlier}
          order by period_start desc, id desc limit ${asked.limit}`.execute(tx);
        return rows;
      }),

    /** By id or month. */
    find: (scope: DatabaseScope, by: { readonly id: string } | { readonly month: string }) =>
      database.inTenant(scope, async (tx): Promise<InvoiceRow | undefined> => {
        const which = 'id' in by ? sql`id = ${by.id}` : sql`month = ${by.month}`;
        const { rows } =
          await sql<InvoiceRow>`select ${sql.raw(head)}, lines from invoices where ${which}`.execute(tx);
        return rows[0];
      }),

    /** What an invoice of that month would say now. */
    draft: (scope: DatabaseScope, month: BillingMonth): Promise<InvoiceSums> =>
      database.inTenant(scope, async (tx) => {
        await patient(tx);
        return sumsOf(await itemsOf(tx, scope.tenantId, month));
      }),

    /**
     * Writes the invoice of a month, from one snapshot of the database, with the adjustments that it asks for.
     * @returns false when there is one already: whoever was first has issued it.
     */
    async issue(
      tenant: {
        readonly id: string;
        readonly slug: string;
        readonly name: string;
        readonly timeZone: string;
      },
      month: BillingMonth,
      id: string,
      at: Date,
    ): Promise<boolean> {
      try {
        await database.platform
          .transaction()
          .setIsolationLevel('repeatable read')
          .execute(async (tx) => {
            await patient(tx);
            const { lines, exactNanoUsd, totalCents } = sumsOf(await itemsOf(tx, tenant.id, month));
            await sql`insert into invoices (id, tenant_id, number, month, time_zone, period_start, period_end,
                tenant_name, tenant_slug, exact_nano_usd, total_cents, lines, issued_at)
              values (${id}, ${tenant.id}, ${`${tenant.slug}-${month.label}`}, ${month.label}, ${tenant.timeZone},
                ${month.start}, ${month.end}, ${tenant.name}, ${tenant.slug}, ${exactNanoUsd}, ${totalCents},
                ${JSON.stringify(lines.map(stored))}::jsonb, ${at})`.execute(tx);
            await sql`insert into invoiced_adjustments (adjustment_id, tenant_id, invoice_id)
              select id, tenant_id, ${id} from ledger_adjustments as a
              where ${openAdjustments(tenant.id, month)}`.execute(tx);
          });
        return true;
      } catch (error) {
        if ((error as { code?: string }).code === uniqueViolation) return false;
        throw error;
      }
    },
  };
}

const uniqueViolation = '23505';

/** About two seconds for each million rows of the month, and invoices are of tenants that have many. */
const longestReadMs = 300_000;
const patient = (db: Reader) => sql`set local statement_timeout = ${sql.lit(longestReadMs)}`.execute(db);

/** Adjustments that count for no later time than the month, and that no invoice asked for yet. */
function openAdjustments(tenantId: string, month: BillingMonth) {
  return sql`a.tenant_id = ${tenantId} and a.at < ${month.end}
    and not exists (select from invoiced_adjustments i where i.adjustment_id = a.id)`;
}

async function itemsOf(db: Reader, tenantId: string, month: BillingMonth): Promise<InvoiceItem[]> {
  return [
    ...(await usage(db, tenantId, month)),
    ...(await lateUsage(db, tenantId, month)),
    ...(await adjustments(db, tenantId, month)),
  ];
}

type SumsRow = Readonly<
  Record<`${(typeof tokenClasses)[number]}_tokens` | 'count' | 'rows' | 'nano_usd', bigint>
>;

const sums = sql.raw(`count(*) filter (where final) as count, count(*) as rows,
  coalesce(sum(cost_nano_usd), 0)::bigint as nano_usd,
  ${tokenClasses.map((name) => `coalesce(sum(${name}_tokens), 0)::bigint as ${name}_tokens`).join(', ')}`);

function itemOf(row: SumsRow): Pick<InvoiceItem, 'count' | 'rows' | 'tokens' | 'nanoUsd'> {
  const tokens = Object.fromEntries(tokenClasses.map((name) => [name, Number(row[`${name}_tokens`])]));
  return {
    count: Number(row.count),
    rows: Number(row.rows),
    tokens: tokens as InvoiceItem['tokens'],
    nanoUsd: row.nano_usd,
  };
}

/** Calls of the month by provider and model, the dearest first, and apart from them those without a price. */
async function usage(db: Reader, tenantId: string, month: BillingMonth): Promise<InvoiceItem[]> {
  const sumsOfSums = sql.raw(
    ['count', 'rows', 'nano_usd', ...tokenClasses.map((name) => `${name}_tokens`)]
      .map((name) => `sum(${name})::bigint as ${name}`)
      .join(', '),
  );
  const { rows } = await sql<SumsRow & { provider: string | null; model: string | null; unpriced: boolean }>`
    with by_model as (
      select provider, model, unpriced, ${sums} from (
        select *, pricing_state = 'unpriced' and not exists (
          select from ledger_adjustments a where a.ledger_id = ledger.id and a.priced_now) as unpriced
        from ledger where tenant_id = ${tenantId} and at >= ${month.start} and at < ${month.end}
      ) as calls group by provider, model, unpriced
    ), ranked as (
      select *, row_number() over (order by nano_usd desc, rows desc, provider, model, unpriced) <= ${maxUsageLines} as shown
      from by_model
    )
    select case when shown then provider end as provider, case when shown then model end as model, unpriced,
      ${sumsOfSums}
    from ranked group by shown, case when shown then provider end, case when shown then model end, unpriced
    order by unpriced, shown desc, nano_usd desc, provider, model`.execute(db);
  return rows.map((row) => ({
    kind: row.unpriced ? 'unpriced' : 'usage',
    month: month.label,
    provider: row.provider,
    model: row.model,
    description: row.provider === null ? 'Other models' : null,
    ...itemOf(row),
  }));
}

/**
 * Calls of months whose invoice was issued before they were recorded: what the ledger has of such a month beyond what
 * invoices asked for. Rows are never changed, so as many of them are the same ones.
 */
async function lateUsage(db: Reader, tenantId: string, month: BillingMonth): Promise<InvoiceItem[]> {
  const { rows: issued } = await sql<{
    month: string;
    period_start: Date;
    period_end: Date;
    lines: StoredLine[];
  }>`
    select month, period_start, period_end, lines from invoices
    where tenant_id = ${tenantId} and period_start < ${month.start}
    order by period_start desc limit ${lateMonths}`.execute(db);
  const first = issued.at(-1);
  if (!first) return [];
  const asked = issued.flatMap(({ lines }) => lines).filter(({ kind }) => kind !== 'adjustment');
  const spans = [
    ...issued.map((invoice) => ({
      label: invoice.month,
      start: invoice.period_start,
      end: invoice.period_end,
    })),
    ...(issued.length < lateMonths
      ? [{ label: 'earlier', start: new Date(0), end: first.period_start }]
      : []),
  ];
  const knownOf = (label: string) => asked.filter((line) => line.month === label);
  const within = (span: BillingMonth) =>
    sql`tenant_id = ${tenantId} and at >= ${span.start} and at < ${span.end}`;
  const counts = spans.map((span) => sql`(select count(*) from ledger where ${within(span)})`);
  const { rows: counted } = await sql<{
    rows: string[];
  }>`select array[${sql.join(counts)}]::text[] as rows`.execute(db);
  const late: InvoiceItem[] = [];
  for (const [index, span] of spans.entries()) {
    const known = knownOf(span.label);
    const knownRows = known.reduce((sum, { rows }) => sum + rows, 0);
    if (Number(counted[0]?.rows[index]) <= knownRows) continue;
    const { rows } = await sql<SumsRow>`select ${sums} from ledger where ${within(span)}`.execute(db);
    const [all] = rows;
    if (all) late.push(beyond(span.label, itemOf(all), known));
  }
  return late;
}

function beyond(label: string, all: ReturnType<typeof itemOf>, known: readonly StoredLine[]): InvoiceItem {
  const knownOf = (count: (line: StoredLine) => number) => known.reduce((sum, line) => sum + count(line), 0);
  const tokens = tokenClasses.map((name) => [name, all.tokens[name] - knownOf((line) => line.tokens[name])]);
  return {
    kind: 'late',
    month: label,
    provider: null,
    model: null,
    description: 'Recorded after the invoice of their month',
    count: all.count - knownOf((line) => line.count),
    rows: all.rows - knownOf((line) => line.rows),
    tokens: Object.fromEntries(tokens) as InvoiceItem['tokens'],
    nanoUsd: all.nanoUsd - known.reduce((sum, line) => sum + BigInt(line.nano_usd), 0n),
  };
}

const noTokens = Object.fromEntries(tokenClasses.map((name) => [name, 0])) as InvoiceItem['tokens'];

async function adjustments(db: Reader, tenantId: string, month: BillingMonth): Promise<InvoiceItem[]> {
  const { rows } = await sql<{
    month: string;
    provider: string | null;
    model: string | null;
    description: string;
    count: bigint;
    nano_usd: bigint;
  }>`with grouped as (
      select coalesce(issued.month, case when a.at >= ${month.start} then ${month.label} else 'earlier' end) as month,
        a.kind, a.reason, a.provider, a.model, count(*) as count, sum(a.delta_nano_usd)::bigint as nano_usd
      from ledger_adjustments a
      left join invoices issued on issued.tenant_id = a.tenant_id and a.at >= issued.period_start and a.at < issued.period_end
      where ${openAdjustments(tenantId, month)}
      group by 1, a.kind, a.reason, a.provider, a.model
    ), ranked as (
      select *, row_number() over (order by abs(nano_usd) desc, month, kind, reason, provider, model)
        <= ${maxAdjustmentLines} as shown
      from grouped
    )
    select case when shown then month else ${month.label} end as month, case when shown then provider end as provider,
      case when shown then model end as model,
      case when shown then kind || ': ' || reason else 'Other adjustments' end as description,
      sum(count)::bigint as count, sum(nano_usd)::bigint as nano_usd
    from ranked group by 1, 2, 3, 4 order by month, description, provider, model`.execute(db);
  return rows.map((row) => ({
    kind: 'adjustment',
    month: row.month,
    provider: row.provider,
    model: row.model,
    description: row.description,
    count: Number(row.count),
    rows: 0,
    tokens: noTokens,
    nanoUsd: row.nano_usd,
  }));
}
