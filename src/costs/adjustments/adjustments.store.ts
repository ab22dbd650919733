import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import type { PageCursor } from '../../platform/page.ts';
import type { Price } from '../price.ts';
import type { TokensOfRow } from './row-usage.ts';

export type AdjustmentKind = 'reprice' | 'credit' | 'correction';

/** What of a ledger row an adjustment of it carries, so that a breakdown adds it where the row is. */
export interface CallFacts {
  readonly operation: string | null;
  readonly route: string | null;
  readonly provider: string | null;
  readonly model: string | null;
  readonly tier: string | null;
  readonly key_id: string | null;
  readonly user_id: string | null;
  readonly prompt_id: string | null;
  readonly tags: readonly string[];
}

export interface AdjustmentRow extends CallFacts {
  readonly id: string;
  readonly at: Date;
  readonly kind: AdjustmentKind;
  readonly ledger_id: string | null;
  readonly delta_nano_usd: bigint;
  readonly priced_now: boolean;
  readonly price_id: string | null;
  readonly price_version: string | null;
  readonly reason: string;
  readonly batch_id: string;
  readonly created_by: string;
  readonly created_at: Date;
}

export interface LedgerRowFound extends CallFacts {
  readonly at: Date;
}

/** A row that may be charged anew, with what earlier repricing made of it. */
export interface ChargeableRow extends TokensOfRow, CallFacts {
  readonly id: string;
  readonly at: Date;
  readonly provider: string;
  readonly model: string;
  /** Null: it was unpriced when it was written. */
  readonly cost_nano_usd: bigint | null;
  readonly adjusted_nano_usd: bigint;
  /** Whether an earlier adjustment gave it a price. */
  readonly priced_since: boolean;
}

export interface RepriceRange {
  readonly from: Date;
  readonly to: Date;
  readonly provider: string | null;
  readonly model: string | null;
}

export interface RowCursor {
  readonly at: Date;
  readonly id: string;
}

export interface BatchSums {
  readonly adjustments: bigint;
  readonly newly_priced: bigint;
  readonly delta_nano_usd: bigint;
}

export type AdjustmentsStore = ReturnType<typeof createAdjustmentsStore>;

const facts = 'operation, route, provider, model, tier, key_id, user_id, prompt_id, tags';

/** SQL of adjustments, and of the ledger's rows that they are about. */
export function createAdjustmentsStore(database: Database) {
  const inRange = (range: RepriceRange) => sql`at >= ${range.from} and at < ${range.to}
    and pricing_state <> 'free'
    ${range.provider === null ? sql`` : sql`and provider = ${range.provider}`}
    ${range.model === null ? sql`` : sql`and model = ${range.model}`}`;

  return {
    /** The facts of one of the tenant's calls; undefined when there is no such row. */
    ledgerRow: (scope: DatabaseScope, id: string): Promise<LedgerRowFound | undefined> =>
      database.inTenant(scope, async (tx) => {
        const { rows } =
          await sql<LedgerRowFound>`select at, ${sql.raw(facts)} from ledger where id = ${id}`.execute(tx);
        return rows[0];
      }),

    add: (scope: DatabaseScope, rows: readonly AdjustmentRow[]): Promise<void> =>
      database.inTenant(scope, (tx) => insert(tx, scope.tenantId, rows)),

    /** Newest first. */
    page: (
      scope: DatabaseScope,
      asked: {
        readonly limit: number;
        readonly after: PageCursor | null;
        readonly kind: AdjustmentKind | null;
        readonly batchId: string | null;
      },
    ): Promise<AdjustmentRow[]> =>
      database.inTenant(scope, async (tx) => {
        const { after, kind, batchId } = asked;
        const { rows } =
          await sql<AdjustmentRow>`select id, at, kind, ledger_id, ${sql.raw(facts)}, delta_nano_usd,
            priced_now, price_id, price_version, reason, batch_id, created_by, created_at
          from ledger_adjustments where true
            ${after ? sql`and (created_at, id) < (${after.createdAt}, ${after.id})` : sql``}
            ${kind === null ? sql`` : sql`and kind = ${kind}`}
            ${batchId === null ? sql`` : sql`and batch_id = ${batchId}`}
          order by created_at desc, id desc limit ${asked.limit}`.execute(tx);
        return rows;
      }),

    /** How many rows a repricing looks at, counted no further than `most`. */
    countRows: (scope: DatabaseScope, range: RepriceRange, most: number): Promise<number> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<{ n: bigint }>`select count(*) as n from (
          select from ledger where ${inRange(range)} limit ${most}) as counted`.execute(tx);
        return Number(rows[0]?.n);
      }),

    sumsOfBatch: (scope: DatabaseScope, batchId: string): Promise<BatchSums> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<BatchSums>`select count(*) as adjustments,
            count(*) filter (where priced_now) as newly_priced,
            coalesce(sum(delta_nano_usd), 0)::bigint as delta_nano_usd
          from ledger_adjustments where batch_id = ${batchId} and kind = 'reprice'`.execute(tx);
        const [sums] = rows;
        if (!sums) throw new Error('an aggregate without groups always gives a row');
        return sums;
      }),

    /**
     * Looks at the next rows in the order of their time, and writes what `adjust` makes of them. One transaction, one at a
     * time for each tenant: what an earlier one wrote is seen by the next, so two at once adjust a row once.
     * @returns the rows looked at.
     */
    repriceNext: (
      scope: DatabaseScope,
      range: RepriceRange,
      after: RowCursor | null,
      limit: number,
      adjust: (rows: readonly ChargeableRow[]) => {
        readonly rows: readonly AdjustmentRow[];
        readonly prices: readonly Price[];
      },
    ): Promise<readonly ChargeableRow[]> =>
      database.inTenant(scope, async (tx) => {
        await sql`select pg_advisory_xact_lock(hashtextextended(${`reprice ${scope.tenantId}`}, 0))`.execute(
          tx,
        );
        const later = after ? sql`and (at, id) > (${after.at}, ${after.id})` : sql``;
        const { rows } = await sql<ChargeableRow>`with next as materialized (
            select id, at, ${sql.raw(facts)}, cost_nano_usd, raw_usage, input_tokens, cached_read_tokens,
              cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, image_tokens, audio_tokens
            from ledger where ${inRange(range)} ${later} order by at, id limit ${limit}
          )
          select next.*, coalesce(earlier.delta, 0)::bigint as adjusted_nano_usd, earlier.delta is not null as priced_since
          from next left join (
            select ledger_id, sum(delta_nano_usd) as delta from ledger_adjustments
            where kind = 'reprice' and ledger_id in (select id from next) group by ledger_id
          ) as earlier on earlier.ledger_id = next.id
          order by next.at, next.id`.execute(tx);
        const adjusted = adjust(rows);
        if (adjusted.rows.length > 0) {
          // The application role may not write prices; they are the same for everybody and harmless if nothing follows.
          await copyPrices(adjusted.prices);
          await insert(tx, scope.tenantId, adjusted.rows);
        }
        return rows;
      }),
  };

  async function copyPrices(prices: readonly Price[]): Promise<void> {
    const given = `[${prices.map((price) => price.json).join(',')}]`;
    await sql`insert into model_prices (id, version, provider, model, applies, components, discount_id, discount_percent)
      select price ->> 'id', price ->> 'version', price ->> 'provider', price ->> 'model',
        nullif(price -> 'applies', 'null'), price -> 'components',
        (price -> 'discount' ->> 'id')::uuid, (price -> 'discount' ->> 'percent')::numeric
      from jsonb_array_elements(${given}::jsonb) as price order by 1 on conflict do nothing`.execute(
      database.platform,
    );
  }
}

async function insert(tx: Tx, tenantId: string, rows: readonly AdjustmentRow[]): Promise<void> {
  // A number of JSON loses digits, and so money goes as a string.
  const given = JSON.stringify(rows.map((row) => ({ ...row, delta_nano_usd: String(row.delta_nano_usd) })));
  await sql`insert into ledger_adjustments (id, tenant_id, at, kind, ledger_id, ${sql.raw(facts)}, delta_nano_usd,
      priced_now, price_id, price_version, reason, batch_id, created_by, created_at)
    select id, ${tenantId}, at, kind, ledger_id, ${sql.raw(facts)}, delta_nano_usd,
      priced_now, price_id, price_version, reason, batch_id, created_by, created_at
    from jsonb_to_recordset(${given}::jsonb) as row (id uuid, at timestamptz, kind text, ledger_id uuid,
      operation text, route text, provider text, model text, tier text, key_id text, user_id uuid, prompt_id text,
      tags text[], delta_nano_usd bigint, priced_now boolean, price_id text, price_version text, reason text,
      batch_id uuid, created_by text, created_at timestamptz)`.execute(tx);
}
