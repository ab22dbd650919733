import Anthropic from '@anthropic-ai/sdk';
import type { ProviderKind } from '../../src/routing/index.ts';
import { weatherSchema } from '../../tools/simulator/testing.ts';
import type { ModelPath, ModelPathOptions } from './model-path.ts';
import { modelPathSuite } from './model-path-suite.ts';

export const hello = {
  model: 'fast',
  max_tokens: 4_096,
  messages: [{ role: 'user' as const, content: 'Hello there' }],
};
export const weather: Anthropic.Tool = {
  name: 'get_weather',
  description: 'How the weather is',
  input_schema: weatherSchema,
};

/** Providers to which the route `fast` leads, by their kind: below the simulator's address, and a model of theirs. */
export const kinds: Record<string, { path: string; model: string }> = {
  anthropic: { path: '/v1', model: 'claude-sonnet-4-5' },
  openai: { path: '/v1', model: 'gpt-4o-mini' },
  'openai-compatible': { path: '/v1', model: 'gpt-4o-mini' },
  ollama: { path: '/v1', model: 'llama3.3' },
  azure: { path: '/openai/v1', model: 'gpt-4o-mini' },
  gemini: { path: '/v1beta', model: 'gemini-2.5-flash' },
  bedrock: { path: '', model: 'anthropic.claude-sonnet-4-5-20250929-v1:0' },
};

/** `modelPathSuite`, with the official client and a route `fast` to any kind of provider. */
export function anthropicClientSuite() {
  const suite = modelPathSuite();
  return {
    ...suite,
    clientOf: (path: ModelPath, maxRetries = 0) =>
      new Anthropic({ apiKey: 'gh_test', baseURL: path.url, maxRetries }),
    startOn(kind: string, options: ModelPathOptions = {}): Promise<ModelPath> {
      const { path, model } = kinds[kind] ?? { path: '', model: '' };
      const baseUrl = suite.providerUrl().replace(/\/v1$/, path);
      return suite.start({
        providers: { [kind]: { baseUrl, kind: kind as ProviderKind } },
        routes: { fast: [[{ provider: kind, model }]] },
        ...options,
      });
    },
  };
}
