import { openAiCompatible } from './openai-compatible.ts';
import type { ProviderWire } from './provider-wire.ts';

/** Ollama by its `/v1` (https://docs.ollama.com/api/openai-compatibility), with or without a key. */
export const ollama: ProviderWire = openAiCompatible;
