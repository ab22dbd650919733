import { sql } from 'kysely';
import type { Database } from '../../src/platform/database/database.ts';

/** A ledger row as far as a test cares for it; the rest is what an ordinary call has. */
export interface LedgerRowGiven {
  readonly id: string;
  readonly tenantId: string;
  readonly at: Date;
  /** Null: unpriced. */
  readonly costNanoUsd: bigint | null;
  readonly inputTokens: number;
  readonly cachedReadTokens?: number;
  readonly outputTokens?: number;
  readonly audioTokens?: number;
  readonly imageTokens?: number;
  readonly provider?: string;
  readonly model?: string;
  readonly route?: string | null;
  readonly keyId?: string;
  readonly userId?: string | null;
  readonly promptId?: string | null;
  readonly tags?: readonly string[];
  readonly status?: string;
  readonly tier?: string;
  readonly final?: boolean;
  readonly rawUsage?: unknown;
}

export async function addTenant(database: Database, id: string, slug: string): Promise<void> {
  await sql`insert into tenants (id, slug, name, tier, region, status, created_at, updated_at)
    values (${id}, ${slug}, ${slug}, 'starter', 'eu', 'active', now(), now())`.execute(database.platform);
}

/** Writes rows past the spool, with the price `test:1`. */
export async function addLedgerRows(database: Database, rows: readonly LedgerRowGiven[]): Promise<void> {
  await sql`insert into model_prices (id, version, provider, model, components)
    values ('test:1', 'test', 'sim', 'gpt-4o-mini', '{"input_mtok": "0.15"}') on conflict do nothing`.execute(
    database.platform,
  );
  for (const row of rows) {
    const cost = row.costNanoUsd;
    await sql`insert into ledger (id, tenant_id, at, correlation_id, key_id, user_id, operation, dialect, route,
        provider, model, tier, status, streamed, raw_usage, estimated, input_tokens, cached_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, image_tokens, audio_tokens,
        pricing_state, price_version, price_id, cost_nano_usd, attempts, duration_ms, prompt_id, tags, final, call_id)
      values (${row.id}, ${row.tenantId}, ${row.at}, 'test', ${row.keyId ?? 'key-1'}, ${row.userId ?? null}, 'chat',
        'openai-chat', ${row.route === undefined ? 'fast' : row.route}, ${row.provider ?? 'sim'}, ${row.model ?? 'gpt-4o-mini'},
        ${row.tier ?? 'primary'}, ${row.status ?? 'ok'}, false,
        ${row.rawUsage === undefined ? null : JSON.stringify(row.rawUsage)}::jsonb, false, ${row.inputTokens},
        ${row.cachedReadTokens ?? 0}, 0, 0, ${row.outputTokens ?? 0}, 0, ${row.imageTokens ?? 0},
        ${row.audioTokens ?? 0}, ${cost === null ? 'unpriced' : 'priced'}, 'test',
        ${cost === null ? null : 'test:1'}, ${cost === null ? null : String(cost)}::bigint, 1, 1,
        ${row.promptId ?? null}, ${row.tags ?? []}, ${row.final ?? true},
        ${row.final === false ? sql`gen_random_uuid()` : null})`.execute(database.platform);
  }
}
