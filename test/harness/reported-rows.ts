import type pg from 'pg';

/** What of a ledger row, or of an adjustment, reports are made from. */
export interface ReportedRow {
  readonly id: string;
  readonly tenantId: string;
  readonly at: Date;
  readonly keyId: string;
  readonly userId: string | null;
  readonly promptId: string | null;
  readonly route: string | null;
  readonly provider: string;
  readonly model: string;
  readonly tags: readonly string[];
  /** Null: unpriced. Of an adjustment: its delta, and null stands for one nano-dollar. */
  readonly costNanoUsd: bigint | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly final: boolean;
}

/** A call like any other, for what a test does not care for. */
export const ordinaryRow = {
  keyId: 'key-1',
  userId: null,
  promptId: null,
  route: null,
  provider: 'sim',
  model: 'm',
  tags: [],
  inputTokens: 10,
  outputTokens: 10,
  final: true,
} as const;

/** The statement and its values that write one row as it is given, past prices and spool. */
export function insertOfRow(kind: 'row' | 'adjustment', given: ReportedRow): [string, unknown[]] {
  const { id, tenantId, at, keyId, userId, promptId, route, provider, model, tags } = given;
  const about = [id, tenantId, at, keyId, userId, promptId, route, provider, model, tags];
  if (kind === 'adjustment') {
    const delta = given.costNanoUsd === null ? 1n : given.costNanoUsd;
    return [
      `insert into ledger_adjustments (id, tenant_id, at, key_id, user_id, prompt_id, route, provider, model, tags,
        kind, delta_nano_usd, priced_now, reason, batch_id, created_by, created_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'credit', case when $11::bigint = 0 then 1 else $11 end,
        false, 'a test', $1, 'test', now())`,
      [...about, String(delta)],
    ];
  }
  return [
    `insert into ledger (id, tenant_id, at, key_id, user_id, prompt_id, route, provider, model, tags,
      correlation_id, operation, dialect, tier, status, streamed, estimated, input_tokens, cached_read_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, image_tokens, audio_tokens,
      pricing_state, price_version, price_id, cost_nano_usd, attempts, duration_ms, final, call_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'c', 'chat', 'openai-chat', 'primary', 'ok', false, false,
      $11, 0, 0, 0, $12, 0, 0, 0, case when $13::bigint is null then 'unpriced' when $13 = 0 then 'free' else 'priced' end,
      'test', case when $13 > 0 then 'test' end, $13, 1, 1, $14, gen_random_uuid())`,
    [
      ...about,
      given.inputTokens,
      given.outputTokens,
      given.costNanoUsd === null ? null : String(given.costNanoUsd),
      given.final,
    ],
  ];
}

/** The price that rows written so name. */
export async function insertTestPrice(client: pg.Client): Promise<void> {
  await client.query(`insert into model_prices (id, version, provider, model, components)
    values ('test', 'test', 'sim', 'm', '{"input_mtok": "1", "output_mtok": "2", "cache_read_mtok": "0.1"}')
    on conflict do nothing`);
}
