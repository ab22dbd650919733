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
 * price table.
 */
export function encodeLedgerEntry(entry: LedgerEntry): string {
  const { usage, price } = entry;
  const firstTokenMs = entry.firstTokenMs === null ? 'null' : Math.round(entry.firstTokenMs);
  // Written out member by member, which takes a third of the time of building an object to serialise: every call
  // passes here. Ids, times and numbers need no escaping; all else goes through `text`.
  return (
    `{"id":"${entry.id}","at":"${entry.at.toISOString()}","tenant_id":"${entry.tenantId}"` +
    `,"correlation_id":${text(entry.correlationId)},"key_id":${text(entry.keyId)},"user_id":${text(entry.userId)}` +
    `,"operation":"${entry.operation}","dialect":${text(entry.dialect)},"route":${text(entry.route)}` +
    `,"provider":${text(entry.provider)},"model":${text(entry.model)},"response_model":${text(entry.responseModel)}` +
    `,"tier":${text(entry.tier)},"status":"${entry.status}","error_code":${text(entry.errorCode)}` +
    `,"streamed":${entry.streamed},"estimated":${entry.estimated}` +
    `,"input_tokens":${usage.inputTokens},"cached_read_tokens":${usage.cachedReadTokens}` +
    `,"cache_write_5m_tokens":${usage.cacheWrite5mTokens},"cache_write_1h_tokens":${usage.cacheWrite1hTokens}` +
    `,"output_tokens":${usage.outputTokens},"reasoning_tokens":${usage.reasoningTokens}` +
    `,"image_tokens":${usage.inputImageTokens + usage.outputImageTokens}` +
    `,"audio_tokens":${usage.inputAudioTokens + usage.outputAudioTokens}` +
    `,"pricing_state":"${entry.pricing}","price_version":${text(entry.priceVersion)}` +
    `,"price_id":${text(price?.id ?? null)},"cost_nano_usd":${amount(entry.costNanoUsd)}` +
    `,"saved_nano_usd":${amount(entry.savedNanoUsd)}` +
    `,"call_id":"${entry.callId}","attempt":${entry.attempt},"final":${entry.final}` +
    `,"attempts":${entry.attempts},"duration_ms":${Math.round(entry.durationMs)},"first_token_ms":${firstTokenMs}` +
    `,"prompt_id":${text(entry.promptId)},"tags":${entry.tags.length === 0 ? '[]' : JSON.stringify(entry.tags)}` +
    `,"writer":"${entry.writer}","writer_seq":${entry.writerSeq}` +
    `,"raw_usage":${oneLine(entry.rawUsage)},"price":${price?.json ?? 'null'}}`
  );
}

/** A string, because a number of JSON loses digits. */
function amount(nanoUsd: bigint | null): string {
  return nanoUsd === null ? 'null' : `"${nanoUsd}"`;
}

function text(value: string | null): string {
  return value === null ? 'null' : JSON.stringify(value);
}

/** Line breaks in valid JSON stand between tokens only, so blanks may take their place. */
function oneLine(rawUsage: string | null): string {
  if (rawUsage === null || rawUsage.length > maxRawUsageLength) return 'null';
  return rawUsage.includes('\n') || rawUsage.includes('\r') ? rawUsage.replace(/[\r\n]/g, ' ') : rawUsage;
}
