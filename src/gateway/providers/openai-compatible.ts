import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModelV4CallOptions } from '@ai-sdk/provider';
import { openAiUsage } from '../usage/openai-usage.ts';
import { emptyChatCompletion, openAiLimits } from './openai.ts';
import { bearer, type ProviderWire, pathsOf, placeholderKey } from './provider-wire.ts';

/** The name under which the package looks for options, which it passes on as members of the body. */
const optionsName = 'compatible';

/** Servers that speak OpenAI's chat and embeddings: vLLM, Groq, Mistral, DeepSeek and many more. */
export const openAiCompatible: ProviderWire = {
  nativePath: pathsOf({ 'openai-chat': '/chat/completions', 'openai-embeddings': '/embeddings' }),
  authHeaders: bearer,
  chat: {
    open: ({ provider, model, fetch }) =>
      createOpenAICompatible({
        name: optionsName,
        baseURL: provider.baseUrl,
        apiKey: placeholderKey,
        includeUsage: true,
        supportsStructuredOutputs: true,
        fetch,
      }).chatModel(model),
    adapt: withParallelToolCalls,
    limits: openAiLimits,
    usage: openAiUsage,
    emptyReply: emptyChatCompletion,
  },
  embeddings: null,
};

function withParallelToolCalls(options: LanguageModelV4CallOptions): LanguageModelV4CallOptions {
  const { providerOptions } = options;
  if (providerOptions?.openai?.parallelToolCalls !== false) return options;
  const own = { ...providerOptions[optionsName], parallel_tool_calls: false };
  return { ...options, providerOptions: { ...providerOptions, [optionsName]: own } };
}
