import type { Price } from './price.ts';
import type { TokenUsage } from './usage.ts';

export type CallStatus = 'ok' | 'error' | 'aborted' | 'timeout';
export type Operation = 'chat' | 'embeddings';

/** Everything that is recorded of one call (COST-1), when it has ended. */
export interface LedgerEntry {
  /** The call's id: replaying the spool twice adds it once. */
  readonly id: string;
  readonly at: Date;
  readonly tenantId: string;
  readonly correlationId: string;
  readonly keyId: string;
  readonly userId: string | null;
  readonly operation: Operation;
  readonly dialect: string;
  /** The route's name; null when the caller named provider and model. */
  readonly route: string | null;
  readonly provider: string;
  /** As asked of the provider, and as the provider named what answered. */
  readonly model: string;
  readonly responseModel: string | null;
  readonly tier: string;
  readonly status: CallStatus;
  readonly errorCode: string | null;
  readonly streamed: boolean;
  /** The provider's usage as it came, valid JSON; null when none did. */
  readonly rawUsage: string | null;
  /** Tokens were estimated, because the provider did not tell. */
  readonly estimated: boolean;
  readonly usage: TokenUsage;
  /** Null: the call is `unpriced`, which is not the same as free. */
  readonly price: Price | null;
  readonly priceVersion: string;
  readonly costNanoUsd: bigint | null;
  readonly attempts: number;
  readonly durationMs: number;
  readonly firstTokenMs: number | null;
}

/** Usage is small; what is larger than this is not usage, and is left out of the row. */
const maxRawUsageLength = 16_384;

/**
 * @returns the row as one line of JSON whose members are the ledger's columns, plus `price`, which goes to the dated
 * price table.
 */
export function encodeLedgerEntry(entry: LedgerEntry): string {
  const { usage } = entry;
  const priced = entry.price !== null && entry.costNanoUsd !== null;
  const columns = JSON.stringify({
    id: entry.id,
    at: entry.at,
    tenant_id: entry.tenantId,
    correlation_id: entry.correlationId,
    key_id: entry.keyId,
    user_id: entry.userId,
    operation: entry.operation,
    dialect: entry.dialect,
    route: entry.route,
    provider: entry.provider,
    model: entry.model,
    response_model: entry.responseModel,
    tier: entry.tier,
    status: entry.status,
    error_code: entry.errorCode,
    streamed: entry.streamed,
    estimated: entry.estimated,
    input_tokens: usage.inputTokens,
    cached_read_tokens: usage.cachedReadTokens,
    cache_write_5m_tokens: usage.cacheWrite5mTokens,
    cache_write_1h_tokens: usage.cacheWrite1hTokens,
    output_tokens: usage.outputTokens,
    reasoning_tokens: usage.reasoningTokens,
    image_tokens: usage.inputImageTokens + usage.outputImageTokens,
    audio_tokens: usage.inputAudioTokens + usage.outputAudioTokens,
    pricing_state: priced ? 'priced' : 'unpriced',
    price_version: entry.priceVersion,
    price_id: priced ? entry.price?.id : null,
    cost_nano_usd: priced ? String(entry.costNanoUsd) : null,
    attempts: entry.attempts,
    duration_ms: Math.round(entry.durationMs),
    first_token_ms: entry.firstTokenMs === null ? null : Math.round(entry.firstTokenMs),
  });
  const rawUsage = oneLine(entry.rawUsage);
  const price = priced ? entry.price?.json : 'null';
  return `${columns.slice(0, -1)},"raw_usage":${rawUsage},"price":${price}}`;
}

/** Line breaks in valid JSON stand between tokens only, so blanks may take their place. */
function oneLine(rawUsage: string | null): string {
  if (rawUsage === null || rawUsage.length > maxRawUsageLength) return 'null';
  return rawUsage.includes('\n') || rawUsage.includes('\r') ? rawUsage.replace(/[\r\n]/g, ' ') : rawUsage;
}
