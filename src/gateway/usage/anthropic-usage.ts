import { noUsage, type TokenUsage } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { countOf, objectOf, partOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/**
 * Usage in the form of Anthropic's messages (https://platform.claude.com/docs/en/api/messages). `input_tokens` leaves
 * out what the cache gave or took, so the three are added up; writes are 5-minute ones unless `cache_creation` says
 * otherwise. `output_tokens` is the whole, thinking included.
 * @param given the `usage` member, parsed; of a stream, what `mergeAnthropicUsage` makes of it.
 * @returns null when there are no counts that can be charged.
 */
export function readAnthropicUsage(given: unknown): TokenUsage | null {
  const usage = recordOf(given);
  const uncached = countOf(usage.input_tokens);
  if (uncached === null) return null;
  const cachedReadTokens = countOf(usage.cache_read_input_tokens) ?? 0;
  const { short, long } = cacheWrites(usage);
  const outputTokens = countOf(usage.output_tokens) ?? 0;
  return {
    ...noUsage,
    inputTokens: uncached + cachedReadTokens + short + long,
    cachedReadTokens,
    cacheWrite5mTokens: short,
    cacheWrite1hTokens: long,
    outputTokens,
    reasoningTokens: partOf(recordOf(usage.output_tokens_details).thinking_tokens, outputTokens),
  };
}

/**
 * The usage of a stream: `message_start` gives the input's, each `message_delta` the counts so far, which replace the
 * earlier ones member by member. A member that is null or absent tells nothing and leaves what was there.
 */
export function mergeAnthropicUsage(before: JsonObject | null, update: JsonObject): JsonObject {
  const told = Object.entries(update).filter(([, value]) => value !== null && value !== undefined);
  return { ...before, ...Object.fromEntries(told) };
}

function cacheWrites(usage: JsonObject): { short: number; long: number } {
  const byLifetime = recordOf(usage.cache_creation);
  const long = countOf(byLifetime.ephemeral_1h_input_tokens) ?? 0;
  const short = countOf(byLifetime.ephemeral_5m_input_tokens) ?? 0;
  const total = countOf(usage.cache_creation_input_tokens) ?? 0;
  // What the total has beyond the parts has the default lifetime.
  return { short: Math.max(short, total - long), long };
}

export const anthropicUsage: UsageReader = {
  inReply: (body) => objectOf(recordOf(body).usage),
  inChunk(chunk, before) {
    const { type, message, usage } = recordOf(chunk);
    const update = objectOf(type === 'message_start' ? recordOf(message).usage : usage);
    return update === null ? before : mergeAnthropicUsage(before, update);
  },
  read: readAnthropicUsage,
};
