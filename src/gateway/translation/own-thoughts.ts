import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Message,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import { recordOf } from '../usage/token-counts.ts';

/**
 * Leaves of a conversation's thoughts those that the provider can check: thoughts of another one's model were never
 * part of this model's conversation, and are refused or misread.
 * @param read gives a thought's metadata as the provider wants it, null for one that is not its own.
 */
export function withOwnThoughts(
  options: LanguageModelV4CallOptions,
  read: (metadata: SharedV4ProviderMetadata) => SharedV4ProviderMetadata | null,
): LanguageModelV4CallOptions {
  const prompt = options.prompt.map((message): LanguageModelV4Message => {
    if (message.role !== 'assistant') return message;
    const content = message.content.flatMap((part): AssistantContent => {
      if (part.type !== 'reasoning') return [part];
      const providerOptions = read(part.providerOptions ?? {});
      return providerOptions === null ? [] : [{ ...part, providerOptions }];
    });
    return { ...message, content };
  });
  return { ...options, prompt };
}

type AssistantContent = Extract<LanguageModelV4Message, { role: 'assistant' }>['content'];

/** What Claude thought, signed: its signatures hold on Anthropic's own API and on Bedrock. */
export function claudeThought(
  metadata: SharedV4ProviderMetadata,
): { readonly signature?: string; readonly redactedData?: string } | null {
  for (const namespace of ['anthropic', 'amazonBedrock', 'bedrock']) {
    const { signature, redactedData } = recordOf(metadata[namespace]);
    if (typeof signature === 'string') return { signature };
    if (typeof redactedData === 'string') return { redactedData };
  }
  return null;
}

/** What Gemini thought, signed. */
export function geminiThought(metadata: SharedV4ProviderMetadata): SharedV4ProviderMetadata | null {
  const { thoughtSignature } = recordOf(metadata.google);
  return typeof thoughtSignature === 'string' ? { google: { thoughtSignature } } : null;
}
