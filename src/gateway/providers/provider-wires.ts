import type { ProviderKind } from '../../routing/index.ts';
import { anthropic } from './anthropic.ts';
import { azure } from './azure.ts';
import { bedrock } from './bedrock.ts';
import { gemini } from './gemini.ts';
import { kapa } from './kapa.ts';
import { ollama } from './ollama.ts';
import { openAi } from './openai.ts';
import { openAiCompatible } from './openai-compatible.ts';
import type { ProviderWire } from './provider-wire.ts';

export const providerWires: Readonly<Record<ProviderKind, ProviderWire>> = {
  openai: openAi,
  azure,
  'openai-compatible': openAiCompatible,
  ollama,
  anthropic,
  gemini,
  bedrock,
  kapa,
};
