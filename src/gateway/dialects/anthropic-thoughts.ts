import type {
  LanguageModelV4ReasoningPart,
  SharedV4ProviderMetadata,
  SharedV4ProviderOptions,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { type SignedThought, signedThought, thoughtMetadata } from '../translation/reasoning-carriers.ts';

/**
 * Thoughts of models that are not Anthropic's travel in Anthropic's blocks: clients give those back unchanged, which is
 * all that is needed. Their signatures are marked, so that they go back to whom they came from, and so that Anthropic,
 * which refuses signatures it did not make, is never shown them.
 */
const mark = 'gatehouse.';
const unsigned = `${mark}unsigned`;
/** Stands before a tool's call and is the call's own signature. */
const ofCall = `${mark}call.`;

/** The mark as it stands in a body; what has it has to be looked through before Anthropic gets it. */
export const markedBytes = Buffer.from(`"${mark}`);

/** Whose signatures Anthropic's API takes: they are valid on every platform that has its models. */
const anthropics = new Set(['anthropic-claude-v1', 'amazon-bedrock-v1']);

/** @param text what the model thought. @returns a `thinking` or `redacted_thinking` block. */
export function thoughtBlock(text: string, metadata: SharedV4ProviderMetadata | undefined): JsonObject {
  const signed = signedThought(metadata);
  if (signed?.encrypted !== undefined && text === '') {
    return { type: 'redacted_thinking', data: sealed(signed, signed.encrypted) };
  }
  return { type: 'thinking', thinking: text, signature: signatureOf(signed) };
}

export function signatureOf(signed: SignedThought | null): string {
  return signed?.signature === undefined ? unsigned : sealed(signed, signed.signature);
}

/** Gemini signs its calls of tools, whose blocks have no room for it: a block before them carries it. */
export function callSignatureBlock(metadata: SharedV4ProviderMetadata | undefined): JsonObject | null {
  const signed = signedThought(metadata);
  if (signed?.signature === undefined) return null;
  return { type: 'redacted_thinking', data: `${ofCall}${signed.format}.${signed.signature}` };
}

export type ReadThought =
  | { readonly kind: 'thought'; readonly part: LanguageModelV4ReasoningPart }
  | { readonly kind: 'of-next-call'; readonly providerOptions: SharedV4ProviderOptions }
  /** Nobody signed it, so that it is no part of the conversation for any provider. */
  | { readonly kind: 'none' };

/** @param text the block's thoughts. @param carried its signature, or its encrypted data. */
export function readThought(text: string, carried: string, encrypted: boolean): ReadThought {
  if (carried.startsWith(ofCall)) {
    const providerOptions = opened(carried.slice(ofCall.length), false);
    return providerOptions ? { kind: 'of-next-call', providerOptions } : { kind: 'none' };
  }
  const providerOptions = carried.startsWith(mark)
    ? opened(carried.slice(mark.length), encrypted)
    : anthropicOptions(carried, encrypted);
  if (!providerOptions) return { kind: 'none' };
  return { kind: 'thought', part: { type: 'reasoning', text, providerOptions } };
}

/** A body's messages without the thoughts that Anthropic would refuse. */
export function withoutMarkedThoughts(messages: readonly unknown[]): unknown[] {
  return messages.map((message) => {
    const { content } = message as { content?: unknown };
    if (!Array.isArray(content)) return message;
    return { ...(message as object), content: content.filter((block) => !isMarked(block)) };
  });
}

function isMarked(block: unknown): boolean {
  const { type, signature, data } = (block ?? {}) as JsonObject;
  const carried = type === 'thinking' ? signature : type === 'redacted_thinking' ? data : undefined;
  return typeof carried === 'string' && carried.startsWith(mark);
}

function sealed({ format }: SignedThought, carried: string): string {
  return anthropics.has(format) ? carried : `${mark}${format}.${carried}`;
}

/** @param carried `<format>.<signature or data>`; formats have no dots. */
function opened(carried: string, encrypted: boolean): SharedV4ProviderOptions | undefined {
  const dot = carried.indexOf('.');
  if (dot < 0) return undefined;
  const value = carried.slice(dot + 1);
  const format = carried.slice(0, dot);
  return thoughtMetadata({ format, ...(encrypted ? { encrypted: value } : { signature: value }) });
}

function anthropicOptions(carried: string, encrypted: boolean): SharedV4ProviderOptions | undefined {
  if (carried === '') return undefined;
  if (encrypted) return { anthropic: { redactedData: carried } };
  return { anthropic: { signature: carried }, amazonBedrock: { signature: carried } };
}
