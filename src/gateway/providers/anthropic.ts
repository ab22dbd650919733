import { createAnthropic } from '@ai-sdk/anthropic';
import type { LanguageModelV4FilePart } from '@ai-sdk/provider';
import { claudeThought, withOwnThoughts } from '../translation/own-thoughts.ts';
import { anthropicUsage } from '../usage/anthropic-usage.ts';
import { keyHeader, type ProviderWire, pathsOf, placeholderKey } from './provider-wire.ts';

export const anthropic: ProviderWire = {
  nativePath: pathsOf({
    'anthropic-messages': '/messages',
    'anthropic-count-tokens': '/messages/count_tokens',
  }),
  // The version of the API is the caller's to name, and the package's in translated calls.
  authHeaders: keyHeader('x-api-key'),
  chat: {
    open: ({ provider, model, fetch }) =>
      createAnthropic({ baseURL: provider.baseUrl, apiKey: placeholderKey, fetch }).chat(model),
    adapt: (options) =>
      withOwnThoughts(options, (metadata) => {
        const thought = claudeThought(metadata);
        return thought === null ? null : { anthropic: { ...thought } };
      }),
    limits: {
      without: [],
      refusesFile: refusesAudio,
    },
    usage: anthropicUsage,
    emptyReply: {
      type: 'message',
      id: 'none',
      role: 'assistant',
      model: 'none',
      content: [],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    },
  },
  embeddings: null,
};

function refusesAudio({ mediaType }: LanguageModelV4FilePart): string | null {
  return mediaType.startsWith('audio') ? 'audio cannot be sent to anthropic providers' : null;
}
