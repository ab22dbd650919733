import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4Text,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { ReplyContext } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';
import { threadOf } from './openai-chat-reply.ts';
import {
  annotationOf,
  callItem,
  emptyText,
  type ItemStatus,
  imageItem,
  itemId,
  messageItem,
  type OutputText,
  reasoningItem,
  signatureItem,
} from './openai-responses-items.ts';
import { customToolsOf } from './openai-responses-tools.ts';

/** A whole reply as a response object. */
export function writeResponse(result: LanguageModelV4GenerateResult, context: ReplyContext): JsonObject {
  const output = outputOf(result.content, context, itemStatusOf(result.finishReason));
  return responseOf(context, result.response?.modelId, output, result);
}

/** What is known of a reply at its end. */
export type Ended = Pick<LanguageModelV4GenerateResult, 'finishReason' | 'usage' | 'providerMetadata'>;

/**
 * The response object around its output, with what it repeats of the request.
 * @param modelId what the provider calls the model that answers, where it says so.
 * @param ended null while the reply is still being written.
 */
export function responseOf(
  { callId, model, createdAt, request }: ReplyContext,
  modelId: string | undefined,
  output: readonly JsonObject[],
  ended: Ended | null,
): JsonObject {
  const { effort, summary } = recordOf(request.reasoning);
  const { format, verbosity } = recordOf(request.text);
  return {
    id: itemId('resp', callId),
    object: 'response',
    created_at: createdAt,
    status: ended === null ? 'in_progress' : itemStatusOf(ended.finishReason),
    background: false,
    error: null,
    incomplete_details: ended === null ? null : incompleteDetailsOf(ended.finishReason),
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: request.max_tool_calls ?? null,
    model: modelId ?? model,
    output,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: { effort: effort ?? null, summary: summary ?? null },
    safety_identifier: request.safety_identifier ?? null,
    service_tier: 'default',
    // Nothing is kept, whatever the request left open.
    store: false,
    temperature: request.temperature ?? null,
    text: { format: format ?? { type: 'text' }, verbosity: verbosity ?? 'medium' },
    tool_choice: request.tool_choice ?? 'auto',
    tools: request.tools ?? [],
    top_logprobs: 0,
    top_p: request.top_p ?? null,
    truncation: 'disabled',
    usage: ended === null ? null : usageOf(ended.usage),
    user: request.user ?? null,
    metadata: { ...recordOf(request.metadata), ...threadOf(ended?.providerMetadata).metadata },
  };
}

/** A reply that was cut off is incomplete, and so is what it ends with. */
export function itemStatusOf({ unified }: LanguageModelV4FinishReason): ItemStatus {
  return unified === 'length' || unified === 'content-filter' ? 'incomplete' : 'completed';
}

function incompleteDetailsOf({ unified }: LanguageModelV4FinishReason): JsonObject | null {
  if (unified === 'length') return { reason: 'max_output_tokens' };
  return unified === 'content-filter' ? { reason: 'content_filter' } : null;
}

function usageOf({ inputTokens, outputTokens }: LanguageModelV4Usage): JsonObject | null {
  if (inputTokens.total === undefined && outputTokens.total === undefined) return null;
  const input = inputTokens.total ?? 0;
  const output = outputTokens.total ?? 0;
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: inputTokens.cacheRead ?? 0,
      cache_write_tokens: inputTokens.cacheWrite ?? 0,
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
    total_tokens: input + output,
  };
}

/** Texts that follow one another are one message. @param lastStatus of the last item. */
function outputOf(
  content: readonly LanguageModelV4Content[],
  { callId, request }: ReplyContext,
  lastStatus: ItemStatus,
): JsonObject[] {
  const custom = customToolsOf(request);
  const output: JsonObject[] = [];
  let message: { id: string; texts: OutputText[] } | null = null;
  const sources = content.flatMap((part) => (part.type === 'source' ? [part] : []));
  const closeMessage = (status: ItemStatus) => {
    if (message) output.push(messageItem(message.id, status, message.texts));
    message = null;
  };
  const add = (item: JsonObject | null) => {
    closeMessage('completed');
    if (item) output.push(item);
  };
  const next = () => output.length + (message ? 1 : 0);
  for (const part of content) {
    switch (part.type) {
      case 'text': {
        if (part.text === '') break;
        message ??= { id: itemId('msg', callId, output.length), texts: [] };
        message.texts.push(textOf(part));
        break;
      }
      case 'reasoning': {
        const item = reasoningItem(itemId('rs', callId, next()), part.text, part.providerMetadata);
        if (part.text !== '' || item.encrypted_content !== undefined) add(item);
        break;
      }
      case 'tool-call': {
        if (part.providerExecuted) break;
        add(signatureItem(itemId('rs', callId, next()), part.toolCallId, part.providerMetadata));
        const isCustom = custom.has(part.toolName);
        const id = itemId(isCustom ? 'ctc' : 'fc', callId, next());
        const call = { id, callId: part.toolCallId, name: part.toolName, custom: isCustom };
        add(callItem(call, 'completed', part.input));
        break;
      }
      case 'file':
        add(imageItem(itemId('ig', callId, next()), part));
        break;
    }
  }
  closeMessage(lastStatus);
  attach(sources, output);
  return output;
}

function textOf({ text, citations }: LanguageModelV4Text): OutputText {
  const written = { ...emptyText(), text };
  for (const { source, startIndex, endIndex } of citations ?? []) {
    const at = { start: startIndex ?? 0, end: endIndex ?? text.length };
    written.annotations.push(annotationOf(source, at, written.annotations.length));
  }
  return written;
}

/** Sources that belong to no particular words stand at the end of the last text. */
function attach(
  sources: readonly (LanguageModelV4Content & { type: 'source' })[],
  output: readonly JsonObject[],
): void {
  const message = output.findLast((item) => item.type === 'message');
  const text = (message?.content as readonly OutputText[] | undefined)?.at(-1);
  if (!text) return;
  for (const source of sources) {
    const at = { start: text.text.length, end: text.text.length };
    text.annotations.push(annotationOf(source, at, text.annotations.length));
  }
}
