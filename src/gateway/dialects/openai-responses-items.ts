import type { LanguageModelV4File, LanguageModelV4Source, SharedV4ProviderMetadata } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { sealCall, sealReasoning } from './openai-responses-seal.ts';
import { customInputOf } from './openai-responses-tools.ts';

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

/** A text within a message, with what it cites. */
export interface OutputText {
  readonly type: 'output_text';
  text: string;
  readonly annotations: JsonObject[];
  readonly logprobs: readonly never[];
}

export const emptyText = (): OutputText => ({ type: 'output_text', text: '', annotations: [], logprobs: [] });

/** Ids as the official clients know them: the kind, and what is unique to this place in this reply. */
export function itemId(kind: 'resp' | 'msg' | 'rs' | 'fc' | 'ctc' | 'ig', callId: string, index = 0): string {
  return `${kind}_${callId.replaceAll('-', '')}${index.toString(16).padStart(4, '0')}`;
}

export function messageItem(id: string, status: ItemStatus, content: readonly OutputText[]): JsonObject {
  return { id, type: 'message', status, role: 'assistant', content };
}

/** @param metadata of the provider's; without a signature in it, there is nothing to hand back. */
export function reasoningItem(
  id: string,
  text: string,
  metadata: SharedV4ProviderMetadata | undefined,
): JsonObject {
  const summary = text === '' ? [] : [{ type: 'summary_text', text }];
  const encrypted_content = sealReasoning(metadata);
  return { id, type: 'reasoning', summary, ...(encrypted_content === null ? {} : { encrypted_content }) };
}

/** @returns an item that only carries what the provider wants back with a call; null when it wants nothing. */
export function signatureItem(
  id: string,
  callId: string,
  metadata: SharedV4ProviderMetadata | undefined,
): JsonObject | null {
  const encrypted_content = sealCall(callId, metadata);
  return encrypted_content === null ? null : { id, type: 'reasoning', summary: [], encrypted_content };
}

export interface ToolCallOfModel {
  readonly id: string;
  readonly callId: string;
  readonly name: string;
  readonly custom: boolean;
}

/** @param input JSON of the arguments. */
export function callItem(
  { id, callId, name, custom }: ToolCallOfModel,
  status: ItemStatus,
  input: string,
): JsonObject {
  return custom
    ? { id, type: 'custom_tool_call', status, call_id: callId, name, input: customInputOf(input) }
    : { id, type: 'function_call', status, arguments: input, call_id: callId, name };
}

/** @returns null for a file that this API has no place for. */
export function imageItem(id: string, { mediaType, data }: LanguageModelV4File): JsonObject | null {
  if (!mediaType.startsWith('image') || data.type !== 'data') return null;
  const result = typeof data.data === 'string' ? data.data : Buffer.from(data.data).toString('base64');
  return { id, type: 'image_generation_call', status: 'completed', result };
}

/**
 * A source as an annotation of a text. @param at where in the text; providers that do not say have their sources stand
 * at its end. @param index how many annotations the text has already.
 */
export function annotationOf(
  source: LanguageModelV4Source,
  at: { readonly start: number; readonly end: number },
  index: number,
): JsonObject {
  return source.sourceType === 'url'
    ? {
        type: 'url_citation',
        start_index: at.start,
        end_index: at.end,
        url: source.url,
        title: source.title ?? source.url,
      }
    : { type: 'file_citation', index, file_id: source.id, filename: source.filename ?? source.title };
}
