import { createGoogle } from '@ai-sdk/google';
import type { LanguageModelV4FilePart } from '@ai-sdk/provider';
import { geminiThought, withOwnThoughts } from '../translation/own-thoughts.ts';
import { geminiEmbeddingUsage } from '../usage/embedding-usage.ts';
import { geminiUsage } from '../usage/gemini-usage.ts';
import { keyHeader, type ModelConnection, type ProviderWire, placeholderKey } from './provider-wire.ts';

/**
 * `gemini-2.5-flash`, `tunedModels/my-own`. Callers name models, and a query or another method in the name would ask for
 * something else with the provider's key, under a name that has no price.
 */
const modelPath = /^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/;

export const gemini: ProviderWire = {
  nativePath: () => null,
  authHeaders: keyHeader('x-goog-api-key'),
  refusesModel: (model) =>
    modelPath.test(model) ? null : 'must be a name of letters, digits, dots, hyphens and underscores',
  chat: {
    open: (connection) => packageOf(connection).chat(connection.model),
    adapt: (options) => withOwnThoughts(options, geminiThought),
    limits: { without: ['parallelToolCalls'], refusesFile },
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

/** Gemini fetches files by https since 2.5, and wants to be told what they are. */
function refusesFile({ data, mediaType }: LanguageModelV4FilePart, model: string): string | null {
  if (data.type !== 'url') return null;
  if (data.url.protocol !== 'https:' || /gemini-(?:1|2\.0)/.test(model)) {
    return 'cannot be fetched by this model: send the file itself, as a data URI';
  }
  return mediaType.endsWith('/*')
    ? 'must end with .png, .jpg, .webp or another name of its format, or be a data URI'
    : null;
}
