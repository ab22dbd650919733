import type { Dialect } from '../model-call.ts';
import { openAiEmbeddingsTranslation } from './openai-embeddings-translation.ts';
import { estimateEmbeddingsInput } from './openai-estimate.ts';
import { readOpenAiReply } from './openai-reply.ts';
import type { RequestRules } from './openai-request.ts';
import { OpenAiStreamReader } from './openai-stream.ts';
import { refusal } from './request-body.ts';

/** OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings). */
export const openAiEmbeddings: Dialect = {
  name: 'openai-embeddings',
  operation: 'embeddings',
  translation: openAiEmbeddingsTranslation,
  // 2,048 inputs, the API's limit, of 3,072 dimensions come to about 70 MB as decimal numbers.
  maxReplyBytes: 96 * 1024 * 1024,
  readReply: (body) => readOpenAiReply(body, 'data', () => 0),
  readStream: (hidesUsageEvent) => new OpenAiStreamReader(hidesUsageEvent),
};

export const embeddingsRequestRules: RequestRules = {
  mayStream: false,
  check(request) {
    const { input } = request;
    if (typeof input !== 'string' && !Array.isArray(input))
      throw refusal('input', 'must be a text or a list');
  },
  estimateInputTokens: estimateEmbeddingsInput,
};
