import type { Dialect } from '../model-call.ts';
import { readOpenAiReply } from './openai-reply.ts';
import { estimateResponsesOutput } from './openai-responses-estimate.ts';
import { ResponsesStreamReader } from './openai-responses-stream.ts';
import { openAiResponsesTranslation } from './openai-responses-translation.ts';

/** OpenAI's responses (https://platform.openai.com/docs/api-reference/responses). */
export const openAiResponses: Dialect = {
  name: 'openai-responses',
  operation: 'chat',
  translation: openAiResponsesTranslation,
  // Pictures that a model makes come within the reply.
  maxReplyBytes: 64 * 1024 * 1024,
  readReply: (body) => readOpenAiReply(body, 'output', estimateResponsesOutput),
  readStream: () => new ResponsesStreamReader(),
};
