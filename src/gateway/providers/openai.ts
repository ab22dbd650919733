import { createOpenAI } from '@ai-sdk/openai';
import type { CallLimits } from '../translation/call-limits.ts';
import { openAiUsage } from '../usage/openai-usage.ts';
import { bearer, type ChatWire, type ProviderWire, pathsOf, placeholderKey } from './provider-wire.ts';

/** A completed chat that says nothing, as OpenAI and its like send it. */
export const emptyChatCompletion = {
  id: 'none',
  object: 'chat.completion',
  created: 0,
  model: 'none',
  choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'stop' }],
};

export const openAiLimits: CallLimits = {
  without: ['topK'],
  refusesFile: () => null,
};

const openAiChatWire: ChatWire = {
  open: ({ provider, model, fetch }) =>
    createOpenAI({ baseURL: provider.baseUrl, apiKey: placeholderKey, fetch }).chat(model),
  limits: openAiLimits,
  usage: openAiUsage,
  emptyReply: emptyChatCompletion,
};

/** OpenAI itself, and servers that have its responses, too. */
export const openAi: ProviderWire = {
  nativePath: pathsOf({
    'openai-chat': '/chat/completions',
    'openai-responses': '/responses',
    'openai-embeddings': '/embeddings',
  }),
  authHeaders: bearer,
  chat: openAiChatWire,
  embeddings: null,
};
