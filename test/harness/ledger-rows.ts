import { sql } from 'kysely';
import type { Database } from '../../src/platform/database/database.ts';

/** What of a ledger row an invoice is made from, or a repricing; all else is the same for each. */
export interface LedgerRowGiven {
  readonly id: string;
  readonly tenantId: string;
  readonly at: Date;
  readonly provider?: string;
  readonly model?: string;
  readonly responseModel?: string | null;
  /** Null: unpriced. */
  readonly costNanoUsd: bigint | null;
  readonly inputTokens?: number;
  readonly cachedReadTokens?: number;
  readonly cacheWrite5mTokens?: number;
  readonly cacheWrite1hTokens?: number;
  readonly outputTokens?: number;
  readonly audioTokens?: number;
  readonly final?: boolean;
  readonly rawUsage?: unknown;
}

const testPriceId = 'test:test:test:0';

/** Writes rows straight into the ledger, many at once, as its writer would. */
export async function addLedgerRows(database: Database, rows: readonly LedgerRowGiven[]): Promise<void> {
  await sql`insert into model_prices (id, version, provider, model, components)
    values (${testPriceId}, 'test', 'test', 'test', '{}') on conflict do nothing`.execute(database.platform);
  const given = rows.map((row) => ({
    id: row.id,
    tenant_id: row.tenantId,
    at: row.at.toISOString(),
    provider: row.provider ?? 'sim',
    model: row.model ?? 'gpt-4o-mini',
    response_model: row.responseModel ?? null,
    raw_usage: row.rawUsage ?? null,
    input_tokens: row.inputTokens ?? 0,
    cached_read_tokens: row.cachedReadTokens ?? 0,
    cache_write_5m_tokens: row.cacheWrite5mTokens ?? 0,
    cache_write_1h_tokens: row.cacheWrite1hTokens ?? 0,
    output_tokens: row.outputTokens ?? 0,
    audio_tokens: row.audioTokens ?? 0,
    pricing_state: row.costNanoUsd === null ? 'unpriced' : 'priced',
    price_id: row.costNanoUsd === null ? null : testPriceId,
    cost_nano_usd: row.costNanoUsd === null ? null : String(row.costNanoUsd),
    final: row.final ?? true,
    call_id: row.final === false ? row.tenantId : row.id,
  }));
  await sql`insert into ledger (id, tenant_id, at, correlation_id, key_id, operation, dialect, route, provider, model,
      response_model, tier, status, streamed, raw_usage, estimated, input_tokens, cached_read_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, image_tokens, audio_tokens,
      pricing_state, price_version, price_id, cost_nano_usd, attempts, duration_ms, call_id, attempt, final)
    select id, tenant_id, at, 'test', 'key-1', 'chat', 'openai-chat', 'fast', provider, model,
      response_model, 'primary', 'ok', false, raw_usage, false, input_tokens, cached_read_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, 0, 0, audio_tokens,
      pricing_state, 'test', price_id, cost_nano_usd, 1, 5, call_id, 1, final
    from jsonb_to_recordset(${JSON.stringify(given)}::jsonb) as row (id uuid, tenant_id uuid, at timestamptz,
      provider text, model text, response_model text, raw_usage jsonb, input_tokens bigint, cached_read_tokens bigint,
      cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, output_tokens bigint, audio_tokens bigint,
      pricing_state text, price_id text, cost_nano_usd bigint, final boolean, call_id uuid)`.execute(
    database.platform,
  );
}
