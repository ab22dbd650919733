import { noUsage } from '../../costs/index.ts';
import { geminiUsage } from './gemini-usage.ts';
import { countOf, objectOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/** Usage of embeddings, from what a provider package gives for one request. */

/** Gemini tells it since its second generation of embedding models. */
export const geminiEmbeddingUsage: UsageReader = {
  ...geminiUsage,
  inReply: (result) => objectOf(recordOf(recordOf(recordOf(result).response).body).usageMetadata),
};

/**
 * Titan and Nova tell it in the body, Cohere in the header `x-amzn-bedrock-input-token-count`; the package reads all
 * three.
 */
export const bedrockEmbeddingUsage: UsageReader = {
  inReply(result) {
    const inputTokens = countOf(recordOf(recordOf(result).usage).tokens);
    return inputTokens === null ? null : { inputTokens };
  },
  inChunk: (_chunk, before) => before,
  read(raw) {
    const inputTokens = countOf(raw.inputTokens);
    return inputTokens === null ? null : { ...noUsage, inputTokens };
  },
};
