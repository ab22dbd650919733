import type { Dialect } from '../model-call.ts';
import { readAnthropicReply } from './anthropic-reply.ts';
import { AnthropicStreamReader } from './anthropic-stream.ts';
import { anthropicTranslation } from './anthropic-translation.ts';

/** Anthropic's messages (https://platform.claude.com/docs/en/api/messages). */
export const anthropicMessages: Dialect = {
  name: 'anthropic-messages',
  operation: 'chat',
  translation: anthropicTranslation,
  // The longest answers are some 600 KB; results of the provider's own tools may be larger.
  maxReplyBytes: 64 * 1024 * 1024,
  readReply: readAnthropicReply,
  readStream: () => new AnthropicStreamReader(),
};
