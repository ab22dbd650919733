import type { ProviderKind } from '../../src/routing/index.ts';

/** How a provider of one kind is set up here, and what it is known not to do. */
export interface Kind {
  readonly kind: ProviderKind;
  /** Below the simulator's address. */
  readonly basePath: string;
  readonly chatModel: string;
  /** One that thinks before it speaks. */
  readonly thinkingModel: string;
  readonly embeddingModel: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** Columns, after the endpoint where it matters, that a provider of this kind has to refuse with 422. */
  readonly cannot?: readonly string[];
  /** False: it tells no usage, which is estimated for the ledger. */
  readonly tellsUsage?: boolean;
  /** True: its usage does not say how much of the output was thought. */
  readonly hidesThoughtTokens?: boolean;
}

export const kinds: readonly Kind[] = [
  {
    kind: 'openai',
    basePath: '/v1',
    chatModel: 'gpt-4o-mini',
    thinkingModel: 'o3-mini',
    embeddingModel: 'text-embedding-3-small',
  },
  {
    kind: 'azure',
    basePath: '/openai/v1',
    chatModel: 'gpt-4o-mini',
    thinkingModel: 'o3-mini',
    embeddingModel: 'text-embedding-3-small',
  },
  {
    kind: 'openai-compatible',
    basePath: '/v1',
    chatModel: 'llama-3.3-70b',
    thinkingModel: 'deepseek-r1',
    embeddingModel: 'bge-m3',
  },
  {
    kind: 'ollama',
    basePath: '/v1',
    chatModel: 'llama3.2',
    thinkingModel: 'qwen3',
    embeddingModel: 'nomic-embed-text',
  },
  {
    kind: 'anthropic',
    basePath: '/v1',
    chatModel: 'claude-sonnet-4-5',
    thinkingModel: 'claude-sonnet-4-5',
    embeddingModel: 'claude-sonnet-4-5',
    cannot: ['/v1/embeddings'],
  },
  {
    kind: 'gemini',
    basePath: '/v1beta',
    chatModel: 'gemini-2.5-flash',
    thinkingModel: 'gemini-3-pro',
    embeddingModel: 'gemini-embedding-001',
  },
  {
    kind: 'bedrock',
    basePath: '',
    chatModel: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
    thinkingModel: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
    embeddingModel: 'amazon.titan-embed-text-v2:0',
    settings: { aws_region: 'eu-central-1' },
    hidesThoughtTokens: true,
  },
  {
    kind: 'kapa',
    basePath: '',
    chatModel: 'kapa',
    thinkingModel: 'kapa',
    embeddingModel: 'kapa',
    settings: { project_id: 'test-project' },
    tellsUsage: false,
    cannot: ['/v1/embeddings', 'tools', 'tools, streamed', 'thoughts and tools', 'image', 'JSON schema'],
  },
];
