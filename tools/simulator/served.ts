/**
 * Tokens of one call by class, named and nested as Gatehouse's ledger has them: cached reads, cache writes, input
 * audio and input images are part of `inputTokens`; reasoning is part of `outputTokens`.
 */
export interface ServedTokens {
  readonly inputTokens: number;
  readonly cachedReadTokens: number;
  readonly cacheWrite5mTokens: number;
  readonly cacheWrite1hTokens: number;
  readonly inputAudioTokens: number;
  readonly inputImageTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly outputAudioTokens: number;
  readonly outputImageTokens: number;
}

export const nothingServed: ServedTokens = Object.freeze({
  inputTokens: 0,
  cachedReadTokens: 0,
  cacheWrite5mTokens: 0,
  cacheWrite1hTokens: 0,
  inputAudioTokens: 0,
  inputImageTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  outputAudioTokens: 0,
  outputImageTokens: 0,
});

/** What was served when only some output tokens had been made; thinking comes before speaking. */
export function servedSoFar(all: ServedTokens, outputTokens: number): ServedTokens {
  const made = Math.min(all.outputTokens, outputTokens);
  return { ...all, outputTokens: made, reasoningTokens: Math.min(all.reasoningTokens, made) };
}

/** Input tokens that were neither read from nor written to a cache: what Anthropic and Bedrock call input. */
export function uncachedInput(served: ServedTokens): number {
  return served.inputTokens - served.cachedReadTokens - served.cacheWrite5mTokens - served.cacheWrite1hTokens;
}
