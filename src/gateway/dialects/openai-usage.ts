import { noUsage, type TokenUsage } from '../../costs/index.ts';

/** More tokens than any call has; what is beyond is a broken counter, not usage. */
const mostTokens = 1e12;

/**
 * Usage in the form of the OpenAI API, of chat or embeddings. Cached, audio and image tokens are part of the prompt's,
 * reasoning, audio and image tokens part of the completion's; parts are cut to what they are part of. Servers in
 * front of Anthropic's models add `cache_creation_tokens`.
 * @returns null when there are no counts that can be charged.
 */
export function readOpenAiUsage(given: unknown): TokenUsage | null {
  if (!isRecord(given)) return null;
  const input = count(given.prompt_tokens ?? given.input_tokens);
  if (input === null) return null;
  const output = count(given.completion_tokens ?? given.output_tokens) ?? 0;
  const prompt = record(given.prompt_tokens_details ?? given.input_tokens_details);
  const completion = record(given.completion_tokens_details ?? given.output_tokens_details);
  if (prompt === none && completion === none) return { ...noUsage, inputTokens: input, outputTokens: output };
  const part = (value: unknown, whole: number) => Math.min(count(value) ?? 0, whole);
  const cachedReadTokens = part(prompt.cached_tokens, input);
  return {
    inputTokens: input,
    cachedReadTokens,
    cacheWrite5mTokens: part(prompt.cache_creation_tokens, input - cachedReadTokens),
    cacheWrite1hTokens: 0,
    inputAudioTokens: part(prompt.audio_tokens, input),
    inputImageTokens: part(prompt.image_tokens, input),
    outputTokens: output,
    reasoningTokens: part(completion.reasoning_tokens, output),
    outputAudioTokens: part(completion.audio_tokens, output),
    outputImageTokens: part(completion.image_tokens, output),
  };
}

const none: Readonly<Record<string, unknown>> = Object.freeze({});

function count(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= mostTokens && Number.isInteger(value)
    ? value
    : null;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : none;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
