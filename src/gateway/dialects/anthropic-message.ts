import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { ReplyContext } from '../translation/translation.ts';
import { hidesThoughts } from './anthropic-settings.ts';
import { callSignatureBlock, thoughtBlock } from './anthropic-thoughts.ts';

/** A whole reply as a message (https://platform.claude.com/docs/en/api/messages). */
export function writeMessage(result: LanguageModelV4GenerateResult, context: ReplyContext): Buffer {
  const content = result.content.flatMap((part) => blocksOf(part, context.request));
  const message = {
    ...emptyMessage({ ...context, model: result.response?.modelId ?? context.model }),
    content,
    stop_reason: stopReason(result.finishReason, content.some(isToolUse)),
    usage: messageUsage(result.usage),
  };
  return Buffer.from(JSON.stringify(message));
}

/** A message of which nothing is said yet: what a stream begins with. */
export function emptyMessage({ callId, model }: ReplyContext) {
  return {
    id: `msg_${callId.replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [] as JsonObject[],
    stop_reason: null as string | null,
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0 } as JsonObject,
  };
}

/** Sources, and what a provider's own tools did, have no block here: callers of this dialect could not ask for them. */
function blocksOf(part: LanguageModelV4Content, request: JsonObject): JsonObject[] {
  switch (part.type) {
    case 'text':
      return part.text === '' ? [] : [{ type: 'text', text: part.text, citations: null }];
    case 'reasoning': {
      const hidden = hidesThoughts(request);
      if (hidden === 'all') return [];
      const block = thoughtBlock(part.text, part.providerMetadata);
      return [hidden === 'texts' && block.type === 'thinking' ? { ...block, thinking: '' } : block];
    }
    case 'tool-call': {
      if (part.providerExecuted) return [];
      const signature = callSignatureBlock(part.providerMetadata);
      return [...(signature ? [signature] : []), { ...toolUse(part), input: inputOf(part.input) }];
    }
    default:
      return [];
  }
}

export function toolUse({ toolCallId, toolName }: { toolCallId: string; toolName: string }): JsonObject {
  return { type: 'tool_use', id: toolCallId, name: toolName, input: {} };
}

/** Anthropic's inputs are objects; what a model wrote that is none is shown as it is. */
function inputOf(text: string): unknown {
  try {
    return text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    return { text };
  }
}

function isToolUse({ type }: JsonObject): boolean {
  return type === 'tool_use';
}

/** Reasons that providers of Anthropic's models give by the same names. */
const sameByName = new Set(['stop_sequence', 'pause_turn', 'refusal', 'model_context_window_exceeded']);

/** @param usesTools whether a tool is called: some providers say no more than that they stopped. */
export function stopReason({ unified, raw }: LanguageModelV4FinishReason, usesTools: boolean): string {
  if (raw !== undefined && sameByName.has(raw)) return raw;
  if (unified === 'length') return 'max_tokens';
  if (unified === 'content-filter') return 'refusal';
  return unified === 'tool-calls' || usesTools ? 'tool_use' : 'end_turn';
}

/** Here, unlike elsewhere, `input_tokens` leaves out what the provider's cache gave or took. */
export function messageUsage({ inputTokens: input, outputTokens: output }: LanguageModelV4Usage): JsonObject {
  const read = input.cacheRead ?? 0;
  const written = input.cacheWrite ?? 0;
  return {
    input_tokens: input.noCache ?? Math.max(0, (input.total ?? 0) - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: output.total ?? 0,
    ...(output.reasoning ? { output_tokens_details: { thinking_tokens: output.reasoning } } : {}),
  };
}
