import type { Dialect } from '../model-call.ts';
import { estimateMessagesInput } from './anthropic-estimate.ts';
import { readTokenCount } from './anthropic-reply.ts';
import { AnthropicStreamReader } from './anthropic-stream.ts';

/** Anthropic's count of a request's tokens (https://platform.claude.com/docs/en/api/messages-count-tokens). */
export const anthropicCountTokens: Dialect = {
  name: 'anthropic-count-tokens',
  operation: 'count_tokens',
  // Other providers have no such call; the count is our estimate then.
  translation: {
    kind: 'own',
    answer: (request) => Buffer.from(JSON.stringify({ input_tokens: estimateMessagesInput(request) })),
  },
  maxReplyBytes: 64 * 1024,
  readReply: readTokenCount,
  readStream: () => new AnthropicStreamReader(),
};
