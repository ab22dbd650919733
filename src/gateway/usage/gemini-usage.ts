import { noUsage, type TokenUsage } from '../../costs/index.ts';
import { countOf, objectOf, partOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/**
 * Usage in the form of Gemini's `usageMetadata` (https://ai.google.dev/api/generate-content#UsageMetadata). The prompt's
 * count includes what came from the cache, but neither the results of Google's own tools nor, on the other side, the
 * thoughts: those are counted beside the candidates. Every event of a stream carries the counts so far.
 * @returns null when there are no counts that can be charged.
 */
export function readGeminiUsage(given: unknown): TokenUsage | null {
  const usage = recordOf(given);
  const prompt = countOf(usage.promptTokenCount);
  if (prompt === null) return null;
  const inputTokens = prompt + (countOf(usage.toolUsePromptTokenCount) ?? 0);
  const reasoningTokens = countOf(usage.thoughtsTokenCount) ?? 0;
  const outputTokens = (countOf(usage.candidatesTokenCount) ?? 0) + reasoningTokens;
  const input = modalities(usage.promptTokensDetails, usage.toolUsePromptTokensDetails);
  const output = modalities(usage.candidatesTokensDetails);
  return {
    ...noUsage,
    inputTokens,
    cachedReadTokens: partOf(usage.cachedContentTokenCount, inputTokens),
    inputAudioTokens: partOf(input.AUDIO, inputTokens),
    inputImageTokens: partOf(input.IMAGE, inputTokens),
    outputTokens,
    reasoningTokens,
    outputAudioTokens: partOf(output.AUDIO, outputTokens),
    outputImageTokens: partOf(output.IMAGE, outputTokens),
  };
}

/** Tokens by modality, added up over several lists of `{ modality, tokenCount }`. */
function modalities(...lists: readonly unknown[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = Object.create(null);
  for (const item of lists.flatMap((list) => (Array.isArray(list) ? list : []))) {
    const { modality, tokenCount } = recordOf(item);
    const name = String(modality);
    sums[name] = (sums[name] ?? 0) + (countOf(tokenCount) ?? 0);
  }
  return sums;
}

export const geminiUsage: UsageReader = {
  inReply: (body) => objectOf(recordOf(body).usageMetadata),
  inChunk: (chunk, before) => objectOf(recordOf(chunk).usageMetadata) ?? before,
  read: readGeminiUsage,
};
