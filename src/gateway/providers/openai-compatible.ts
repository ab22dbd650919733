import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { openAiUsage } from '../usage/openai-usage-reader.ts';
import { emptyChatCompletion, openAiLimits } from './openai.ts';
import { bearer, type ProviderWire, pathsOf, placeholderKey } from './provider-wire.ts';

/** Servers that speak OpenAI's chat and embeddings: vLLM, Groq, Mistral, DeepSeek and many more. */
export const openAiCompatible: ProviderWire = {
  nativePath: pathsOf({ 'openai-chat': '/chat/completions', 'openai-embeddings': '/embeddings' }),
  authHeaders: bearer,
  chat: {
    open: ({ provider, model, fetch }) =>
      createOpenAICompatible({
        // Also the name under which the package looks for options of its own.
        name: 'compatible',
        baseURL: provider.baseUrl,
        apiKey: placeholderKey,
        includeUsage: true,
        supportsStructuredOutputs: true,
        fetch,
      }).chatModel(model),
    limits: openAiLimits,
    usage: openAiUsage,
    emptyReply: emptyChatCompletion,
  },
  embeddings: null,
};
