import { createGoogle } from '@ai-sdk/google';
import { geminiEmbeddingUsage } from '../usage/embedding-usage.ts';
import { geminiUsage } from '../usage/gemini-usage.ts';
import { keyHeader, type ModelConnection, type ProviderWire, placeholderKey } from './provider-wire.ts';

export const gemini: ProviderWire = {
  nativePath: () => null,
  authHeaders: keyHeader('x-goog-api-key'),
  chat: {
    open: (connection) => packageOf(connection).chat(connection.model),
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
  embeddings: {
    open: (connection) => packageOf(connection).embeddingModel(connection.model),
    options: (options) => options,
    usage: geminiEmbeddingUsage,
  },
};

function packageOf({ provider, fetch }: ModelConnection) {
  return createGoogle({ baseURL: provider.baseUrl, apiKey: placeholderKey, fetch });
}
