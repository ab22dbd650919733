import type { ProviderKey, ProviderKind, Target } from '../../routing/index.ts';
import type { DialectName } from '../model-call.ts';

/** How one kind of provider is reached. */
export interface ProviderWire {
  /** Where, below its base URL, it takes the bytes of this dialect as they are; null: the call must be translated. */
  nativePath(dialect: DialectName, target: Target): string | null;
  /** Headers that carry the key: names and values in turn. */
  authHeaders(key: ProviderKey | null): readonly string[];
}

const openAiPaths: Partial<Record<DialectName, string>> = {
  'openai-chat': '/chat/completions',
  'openai-responses': '/responses',
  'openai-embeddings': '/embeddings',
};
const compatiblePaths: Partial<Record<DialectName, string>> = {
  'openai-chat': '/chat/completions',
  'openai-embeddings': '/embeddings',
};
const anthropicPaths: Partial<Record<DialectName, string>> = {
  'anthropic-messages': '/messages',
  'anthropic-count-tokens': '/messages/count_tokens',
};

const bearer = (key: ProviderKey | null) => (key ? ['authorization', `Bearer ${key.value}`] : []);
const header = (name: string) => (key: ProviderKey | null) => (key ? [name, key.value] : []);
const at = (paths: Partial<Record<DialectName, string>>) => (dialect: DialectName) => paths[dialect] ?? null;

export const providerWires: Readonly<Record<ProviderKind, ProviderWire>> = {
  openai: { nativePath: at(openAiPaths), authHeaders: bearer },
  azure: { nativePath: at(openAiPaths), authHeaders: header('api-key') },
  'openai-compatible': { nativePath: at(compatiblePaths), authHeaders: bearer },
  ollama: { nativePath: at(compatiblePaths), authHeaders: bearer },
  anthropic: {
    nativePath: at(anthropicPaths),
    authHeaders: (key) => [...header('x-api-key')(key), 'anthropic-version', '2023-06-01'],
  },
  gemini: { nativePath: () => null, authHeaders: header('x-goog-api-key') },
  bedrock: { nativePath: () => null, authHeaders: () => [] },
  kapa: { nativePath: () => null, authHeaders: header('x-api-key') },
};
