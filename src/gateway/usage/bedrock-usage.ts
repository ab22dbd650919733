import { noUsage, type TokenUsage } from '../../costs/index.ts';
import { countOf, objectOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/**
 * Usage in the form of Bedrock's Converse API
 * (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html). As with Anthropic's own API,
 * `inputTokens` leaves out what the cache gave or took; `cacheDetails` tells writes by lifetime (`5m`, `1h`).
 * @returns null when there are no counts that can be charged.
 */
export function readBedrockUsage(given: unknown): TokenUsage | null {
  const usage = recordOf(given);
  const uncached = countOf(usage.inputTokens);
  if (uncached === null) return null;
  const cachedReadTokens = countOf(usage.cacheReadInputTokens) ?? 0;
  const written = countOf(usage.cacheWriteInputTokens) ?? 0;
  const details = Array.isArray(usage.cacheDetails) ? usage.cacheDetails.map(recordOf) : [];
  const ofLifetime = (ttl: string) =>
    details.reduce(
      (total, detail) => total + (detail.ttl === ttl ? (countOf(detail.inputTokens) ?? 0) : 0),
      0,
    );
  const cacheWrite1hTokens = ofLifetime('1h');
  const cacheWrite5mTokens = Math.max(ofLifetime('5m'), written - cacheWrite1hTokens);
  return {
    ...noUsage,
    inputTokens: uncached + cachedReadTokens + cacheWrite5mTokens + cacheWrite1hTokens,
    cachedReadTokens,
    cacheWrite5mTokens,
    cacheWrite1hTokens,
    outputTokens: countOf(usage.outputTokens) ?? 0,
  };
}

export const bedrockUsage: UsageReader = {
  inReply: (body) => objectOf(recordOf(body).usage),
  inChunk: (chunk, before) => objectOf(recordOf(recordOf(chunk).metadata).usage) ?? before,
  read: readBedrockUsage,
};
