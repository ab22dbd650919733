import type { RowTokens } from '../ledger.store.ts';
import { noUsage, type TokenUsage } from '../usage.ts';

/** The tokens of a ledger row, and its usage as the provider told it. */
export interface TokensOfRow extends RowTokens {
  readonly raw_usage: unknown;
}

/**
 * The classes of tokens that a row was charged by. The ledger adds up images and audio of both directions, which have
 * prices of their own: how much of them came in is read from the provider's usage, in OpenAI's form or Gemini's.
 * @returns null when that cannot be told; then the row cannot be charged anew.
 */
export function usageOfRow(row: TokensOfRow): TokenUsage | null {
  const inputTokens = Number(row.input_tokens);
  const outputTokens = Number(row.output_tokens);
  const audio = directions(Number(row.audio_tokens), row.raw_usage, 'audio', inputTokens, outputTokens);
  const image = directions(Number(row.image_tokens), row.raw_usage, 'image', inputTokens, outputTokens);
  if (audio === null || image === null) return null;
  return {
    ...noUsage,
    inputTokens,
    cachedReadTokens: Number(row.cached_read_tokens),
    cacheWrite5mTokens: Number(row.cache_write_5m_tokens),
    cacheWrite1hTokens: Number(row.cache_write_1h_tokens),
    inputAudioTokens: audio.input,
    inputImageTokens: image.input,
    outputTokens,
    reasoningTokens: Number(row.reasoning_tokens),
    outputAudioTokens: audio.output,
    outputImageTokens: image.output,
  };
}

type Medium = 'audio' | 'image';

function directions(total: number, raw: unknown, medium: Medium, inputTokens: number, outputTokens: number) {
  if (total === 0) return { input: 0, output: 0 };
  const told = toldInput(raw, medium);
  // Counts that a provider told are cut to what they are part of before they are added up.
  const input = told === null ? null : Math.min(told, inputTokens, total);
  if (input !== null && total - input <= outputTokens) return { input, output: total - input };
  if (outputTokens === 0 && total <= inputTokens) return { input: total, output: 0 };
  return null;
}

function toldInput(raw: unknown, medium: Medium): number | null {
  const usage = recordOf(raw);
  const details = recordOf(usage.prompt_tokens_details ?? usage.input_tokens_details);
  const count = details[`${medium}_tokens`];
  if (typeof count === 'number') return count;
  // OpenAI names each part there is; where only the other direction is named, nothing of it came in.
  const other = recordOf(usage.completion_tokens_details ?? usage.output_tokens_details);
  if (typeof other[`${medium}_tokens`] === 'number') return 0;
  const lists = [usage.promptTokensDetails, usage.toolUsePromptTokensDetails];
  if (!lists.some(Array.isArray)) return null;
  return lists
    .flatMap((list) => (Array.isArray(list) ? list.map(recordOf) : []))
    .reduce((sum, { modality, tokenCount }) => {
      const counts = modality === medium.toUpperCase() && typeof tokenCount === 'number';
      return counts ? sum + tokenCount : sum;
    }, 0);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
