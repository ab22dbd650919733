import { createGoogle } from '@ai-sdk/google';
import { geminiUsage } from '../usage/gemini-usage.ts';
import { keyHeader, type ProviderWire, placeholderKey } from './provider-wire.ts';

export const gemini: ProviderWire = {
  nativePath: () => null,
  authHeaders: keyHeader('x-goog-api-key'),
  chat: {
    open: ({ provider, model, fetch }) =>
      createGoogle({ baseURL: provider.baseUrl, apiKey: placeholderKey, fetch }).chat(model),
    limits: {
      without: ['parallelToolCalls'],
      refusesFile: () => null,
    },
    usage: geminiUsage,
    emptyReply: {
      candidates: [{ content: { role: 'model', parts: [] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 0, candidatesTokenCount: 0, totalTokenCount: 0 },
    },
  },
  embeddings: null,
};
