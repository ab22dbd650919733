import type { Price } from './price.ts';
import type { TokenUsage } from './usage.ts';

/** `lost`: the process was killed while the provider had the call; what is charged for it is estimated. */
export type CallStatus = 'ok' | 'error' | 'aborted' | 'timeout' | 'lost';
export type Operation = 'chat' | 'embeddings' | 'count_tokens';
/** `free`: it used no tokens, as an answer from the cache or a count of tokens; that is not the same as unpriced. */
export type PricingState = 'priced' | 'unpriced' | 'free';

/**
 * Everything that is recorded of one call (COST-1), when it has ended: of its last attempt. An attempt before the last
 * that reached a provider is a row of its own, so that sums over all rows are what was used and spent, and counts of
 * final rows are counts of calls.
 */
export interface LedgerEntry {
  /** The call's id in its final row: replaying the spool twice adds a row once. */
  readonly id: string;
  readonly callId: string;
  /** Which of the call's attempts this is, from 1; 0 when there was none, because the answer was known. */
  readonly attempt: number;
  /** This is the call's own row; its status is what the caller saw. */
  readonly final: boolean;
  readonly at: Date;
  readonly tenantId: string;
  readonly correlationId: string;
  readonly keyId: string;
  readonly userId: string | null;
  /** What the call was made for, as its caller said; null: nothing. At most 100 characters. */
  readonly promptId: string | null;
  /** At most ten, of at most 64 characters. */
  readonly tags: readonly string[];
  /** The process that wrote the row, and its how-manieth it is there, from 1. */
  readonly writer: string;
  readonly writerSeq: number;
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
  /** Null unless `priced`. */
  readonly price: Price | null;
  readonly priceVersion: string;
  readonly pricing: PricingState;
  readonly costNanoUsd: bigint | null;
  /** What an answer from the cache cost when it was made; null for all others, and where that had no price. */
  readonly savedNanoUsd: bigint | null;
  /** Attempts of the call up to this one. */
  readonly attempts: number;
  readonly durationMs: number;
  readonly firstTokenMs: number | null;
}

/** Usage is small; what is larger than this is not usage, and is left out of the row. */
const maxRawUsageLength = 16_384;

/**
 * @returns the row as one line of JSON whose members are the ledger's columns, plus `price`, which goes to the dated
 * price table. What is null, 0, false or empty is left out, and so is what a final row says by itself: the store
 * knows. Most of a row is that, and each byte is summed, written twice and taken apart.
 */
export function encodeLedgerEntry(entry: LedgerEntry): string {
  const { usage, price } = entry;
  // Written out member by member, which takes a third of the time of building an object to serialise: every call
  // passes here. Ids, times and numbers need no escaping; all else goes through `text`.
  return (
    `{"id":"${entry.id}","at":"${entry.at.toISOString()}","tenant_id":"${entry.tenantId}"` +
    text('correlation_id', entry.correlationId) +
    text('key_id', entry.keyId) +
    text('user_id', entry.userId) +
    `,"operation":"${entry.operation}"` +
    text('dialect', entry.dialect) +
    text('route', entry.route) +
    text('provider', entry.provider) +
    text('model', entry.model) +
    text('response_model', entry.responseModel) +
    text('tier', entry.tier) +
    `,"status":"${entry.status}"` +
    text('error_code', entry.errorCode) +
    (entry.streamed ? ',"streamed":true' : '') +
    (entry.estimated ? ',"estimated":true' : '') +
    count('input_tokens', usage.inputTokens) +
    count('cached_read_tokens', usage.cachedReadTokens) +
    count('cache_write_5m_tokens', usage.cacheWrite5mTokens) +
    count('cache_write_1h_tokens', usage.cacheWrite1hTokens) +
    count('output_tokens', usage.outputTokens) +
    count('reasoning_tokens', usage.reasoningTokens) +
    count('image_tokens', usage.inputImageTokens + usage.outputImageTokens) +
    count('audio_tokens', usage.inputAudioTokens + usage.outputAudioTokens) +
    `,"pricing_state":"${entry.pricing}"` +
    text('price_version', entry.priceVersion) +
    text('price_id', price?.id ?? null) +
    amount('cost_nano_usd', entry.costNanoUsd) +
    amount('saved_nano_usd', entry.savedNanoUsd) +
    (entry.callId === entry.id ? '' : `,"call_id":"${entry.callId}"`) +
    (entry.attempt === entry.attempts ? '' : `,"attempt":${entry.attempt}`) +
    (entry.final ? '' : ',"final":false') +
    `,"attempts":${entry.attempts},"duration_ms":${Math.round(entry.durationMs)}` +
    (entry.firstTokenMs === null ? '' : `,"first_token_ms":${Math.round(entry.firstTokenMs)}`) +
    text('prompt_id', entry.promptId) +
    (entry.tags.length === 0 ? '' : `,"tags":${JSON.stringify(entry.tags)}`) +
    `,"writer":"${entry.writer}","writer_seq":${entry.writerSeq}` +
    `${rawUsage(entry.rawUsage)}${price === null ? '' : `,"price":${price.json}`}}`
  );
}

/** A string, because a number of JSON loses digits. */
function amount(column: string, nanoUsd: bigint | null): string {
  return nanoUsd === null ? '' : `,"${column}":"${nanoUsd}"`;
}

function text(column: string, value: string | null): string {
  return value === null ? '' : `,"${column}":${JSON.stringify(value)}`;
}

function count(column: string, value: number): string {
  return value === 0 ? '' : `,"${column}":${value}`;
}

/** Line breaks in valid JSON stand between tokens only, so blanks may take their place. */
function rawUsage(usage: string | null): string {
  if (usage === null || usage.length > maxRawUsageLength) return '';
  const oneLine = usage.includes('\n') || usage.includes('\r') ? usage.replace(/[\r\n]/g, ' ') : usage;
  return `,"raw_usage":${oneLine}`;
}
