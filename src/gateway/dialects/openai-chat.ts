import type { Dialect } from '../model-call.ts';
import { openAiChatTranslation } from './openai-chat-translation.ts';
import { estimateChatInput, estimateChatOutput } from './openai-estimate.ts';
import { readOpenAiReply } from './openai-reply.ts';
import type { RequestRules } from './openai-request.ts';
import { OpenAiStreamReader } from './openai-stream.ts';
import { refusal } from './request-body.ts';

/** OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat). */
export const openAiChat: Dialect = {
  name: 'openai-chat',
  operation: 'chat',
  translation: openAiChatTranslation,
  // The longest answers are some 400 KB; pictures and speech in a reply may reach tens of megabytes.
  maxReplyBytes: 64 * 1024 * 1024,
  readReply: (body) => readOpenAiReply(body, 'choices', estimateChatOutput),
  readStream: (hidesUsageEvent) => new OpenAiStreamReader(hidesUsageEvent),
};

export const chatRequestRules: RequestRules = {
  mayStream: true,
  check(request) {
    if (!Array.isArray(request.messages)) throw refusal('messages', 'must be a list of messages');
  },
  estimateInputTokens: estimateChatInput,
};
