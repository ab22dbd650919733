import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import type { PageCursor } from '../platform/page.ts';
import type { PricingState } from './ledger-entry.ts';
import type { Sums } from './reports/measures.ts';
import { createReportStore } from './reports/report.store.ts';

/** The tokens of a ledger row by class; classes are part of input or output. */
export interface RowTokens {
  readonly input_tokens: bigint;
  readonly cached_read_tokens: bigint;
  readonly cache_write_5m_tokens: bigint;
  readonly cache_write_1h_tokens: bigint;
  readonly output_tokens: bigint;
  readonly reasoning_tokens: bigint;
  readonly image_tokens: bigint;
  readonly audio_tokens: bigint;
}

/** A ledger row as lists show it. Counts are small enough for a double; money is not, and stays bigint. */
export interface LedgerRow extends RowTokens {
  readonly id: string;
  readonly call_id: string;
  readonly attempt: number;
  readonly final: boolean;
  readonly created_at: Date;
  readonly correlation_id: string;
  readonly key_id: string;
  readonly user_id: string | null;
  readonly operation: string;
  readonly dialect: string;
  readonly route: string | null;
  readonly provider: string;
  readonly model: string;
  readonly response_model: string | null;
  readonly tier: string;
  readonly status: string;
  readonly error_code: string | null;
  readonly streamed: boolean;
  readonly prompt_id: string | null;
  readonly tags: string[];
  readonly raw_usage: unknown;
  readonly estimated: boolean;
  readonly pricing_state: PricingState;
  readonly price_version: string;
  readonly price_id: string | null;
  readonly cost_nano_usd: bigint | null;
  readonly saved_nano_usd: bigint | null;
  readonly attempts: number;
  readonly duration_ms: number;
  readonly first_token_ms: number | null;
}

/** Which calls a list is of; what is absent does not matter. */
export interface LedgerFilter {
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  readonly keyId?: string | undefined;
  readonly userId?: string | undefined;
  readonly route?: string | undefined;
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly promptId?: string | undefined;
  readonly tag?: string | undefined;
  readonly status?: string | undefined;
  readonly pricing?: string | undefined;
}

export type LedgerStore = ReturnType<typeof createLedgerStore>;

const columns = `id, tenant_id, at, correlation_id, key_id, user_id, operation, dialect, route, provider, model,
  response_model, tier, status, error_code, raw_usage, pricing_state, price_version, price_id, cost_nano_usd,
  saved_nano_usd, attempts, duration_ms, first_token_ms, prompt_id, writer, writer_seq`;

/** Columns that rows leave out where they hold the value beside them; two of them rows of an earlier version lack, too. */
const leftOut: Readonly<Record<string, string>> = {
  call_id: 'id',
  attempt: 'attempts',
  final: 'true',
  streamed: 'false',
  estimated: 'false',
  tags: "'{}'",
  input_tokens: '0',
  cached_read_tokens: '0',
  cache_write_5m_tokens: '0',
  cache_write_1h_tokens: '0',
  output_tokens: '0',
  reasoning_tokens: '0',
  image_tokens: '0',
  audio_tokens: '0',
};
const leftOutColumns = Object.keys(leftOut).join(', ');
const leftOutValues = Object.entries(leftOut)
  .map(([column, value]) => `coalesce(${column}, ${value}) as ${column}`)
  .join(', ');

const columnTypes = `id uuid, tenant_id uuid, at timestamptz, correlation_id text, key_id text, user_id uuid,
  operation text, dialect text, route text, provider text, model text, response_model text, tier text, status text,
  error_code text, streamed boolean, raw_usage jsonb, estimated boolean, input_tokens bigint,
  cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, output_tokens bigint,
  reasoning_tokens bigint, image_tokens bigint, audio_tokens bigint, pricing_state text, price_version text,
  price_id text, cost_nano_usd bigint, saved_nano_usd bigint, call_id uuid, attempt integer, final boolean,
  prompt_id text, tags text[], writer uuid, writer_seq bigint,
  attempts integer, duration_ms integer, first_token_ms integer, price jsonb`;

/** SQL of the ledger and of the dated price table that explains its costs. */
export function createLedgerStore(database: Database) {
  const reports = createReportStore(database);
  return {
    /**
     * Adds rows, each given as the JSON that the spool holds, and the prices they were computed with: all or none.
     * Rows and prices that are there already are left alone.
     */
    async add(rows: readonly string[]): Promise<void> {
      // The rows are JSON already, so PostgreSQL takes them apart and nothing is serialised again here.
      await sql`with given as (
          select * from jsonb_to_recordset(${`[${rows.join(',')}]`}::jsonb) as row (${sql.raw(columnTypes)})
        ), copied as (
          insert into model_prices (id, version, provider, model, applies, components, discount_id, discount_percent)
          select distinct on (price_id) price_id, price ->> 'version', price ->> 'provider', price ->> 'model',
            nullif(price -> 'applies', 'null'), price -> 'components',
            (price -> 'discount' ->> 'id')::uuid, (price -> 'discount' ->> 'percent')::numeric
          from given where price_id is not null
          order by price_id on conflict do nothing
        )
        insert into ledger (${sql.raw(columns)}, ${sql.raw(leftOutColumns)})
        select ${sql.raw(columns)}, ${sql.raw(leftOutValues)} from given
        on conflict (id) do nothing`.execute(database.platform);
    },

    /** Sums over one tenant's calls, all their attempts included, from `from` up to and without `to`; from rollups. */
    sums: (scope: DatabaseScope, from: Date, to: Date): Promise<Sums> => reports.sums(scope, { from, to }),

    /** A page of calls, newest first; all, or those of one correlation id; with each of their attempts, if so wished. */
    page: (
      scope: DatabaseScope,
      page: {
        limit: number;
        after: PageCursor | null;
        correlationId: string | null;
        earlierAttempts: boolean;
        filter?: LedgerFilter;
      },
    ): Promise<LedgerRow[]> =>
      database.inTenant(scope, async (tx) => {
        const after = page.after ? sql`and (at, id) < (${page.after.createdAt}, ${page.after.id})` : sql``;
        const correlated = page.correlationId ? sql`and correlation_id = ${page.correlationId}` : sql``;
        const shown = page.earlierAttempts ? sql`true` : sql`final`;
        const { rows } =
          await sql<LedgerRow>`select ${sql.raw(columns)}, ${sql.raw(leftOutValues)}, at as created_at
          from ledger where ${shown} ${after} ${correlated} ${filtered(page.filter ?? {})} order by at desc, id desc limit ${page.limit}`.execute(
            tx,
          );
        return rows;
      }),
  };
}

function filtered(filter: LedgerFilter) {
  const { from, to, keyId, userId, route, provider, model, promptId, tag, status, pricing } = filter;
  const parts = [
    from ? sql`and at >= ${from}` : null,
    to ? sql`and at < ${to}` : null,
    keyId ? sql`and key_id = ${keyId}` : null,
    userId ? sql`and user_id = ${userId}` : null,
    route ? sql`and route = ${route}` : null,
    provider ? sql`and provider = ${provider}` : null,
    model ? sql`and model = ${model}` : null,
    promptId ? sql`and prompt_id = ${promptId}` : null,
    tag ? sql`and ${tag} = any (tags)` : null,
    status ? sql`and status = ${status}` : null,
    pricing ? sql`and pricing_state = ${pricing}` : null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? sql`` : sql.join(parts, sql` `);
}
