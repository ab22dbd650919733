import { noUsage, type TokenUsage } from '../../costs/index.ts';
import { countOf, objectOf, partOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/**
 * Usage in the form of the OpenAI API, of chat, responses or embeddings. Cached, audio and image tokens are part of the
 * prompt's, reasoning, audio and image tokens part of the completion's; parts are cut to what they are part of. Servers
 * in front of Anthropic's models add `cache_creation_tokens`, DeepSeek has `prompt_cache_hit_tokens`, and Ollama's own
 * API counts `prompt_eval_count` and `eval_count`.
 * @returns null when there are no counts that can be charged.
 */
export function readOpenAiUsage(given: unknown): TokenUsage | null {
  const usage = recordOf(given);
  const inputTokens = countOf(usage.prompt_tokens ?? usage.input_tokens ?? usage.prompt_eval_count);
  if (inputTokens === null) return null;
  const outputTokens = countOf(usage.completion_tokens ?? usage.output_tokens ?? usage.eval_count) ?? 0;
  const prompt = recordOf(usage.prompt_tokens_details ?? usage.input_tokens_details);
  const completion = recordOf(usage.completion_tokens_details ?? usage.output_tokens_details);
  const cachedReadTokens = partOf(prompt.cached_tokens ?? usage.prompt_cache_hit_tokens, inputTokens);
  return {
    ...noUsage,
    inputTokens,
    cachedReadTokens,
    cacheWrite5mTokens: partOf(prompt.cache_creation_tokens, inputTokens - cachedReadTokens),
    inputAudioTokens: partOf(prompt.audio_tokens, inputTokens),
    inputImageTokens: partOf(prompt.image_tokens, inputTokens),
    outputTokens,
    reasoningTokens: partOf(completion.reasoning_tokens, outputTokens),
    outputAudioTokens: partOf(completion.audio_tokens, outputTokens),
    outputImageTokens: partOf(completion.image_tokens, outputTokens),
  };
}

/** In a stream, the last event that has any. */
export const openAiUsage: UsageReader = {
  inReply: (body) => objectOf(recordOf(body).usage),
  inChunk: (chunk, before) => objectOf(recordOf(chunk).usage) ?? before,
  read: readOpenAiUsage,
};
