import type { LanguageModelV4StreamPart, SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { isObject } from '../translation/field-reader.ts';
import type { ReplyContext, TranslatedStream } from '../translation/translation.ts';
import {
  annotation,
  chatUsage,
  finishName,
  googleSignature,
  imageOf,
  reasoningDetail,
  threadOf,
} from './openai-chat-reply.ts';

/**
 * Writes a chat's events (https://platform.openai.com/docs/api-reference/chat-streaming). Members that OpenAI's own
 * events do not have go out once, whole and numbered, before the end: of the official clients, one puts the pieces of
 * such a list together by their `index`, another keeps the last piece only.
 */
export class ChatStreamWriter implements TranslatedStream {
  readonly #context: ReplyContext;
  readonly #sendsUsage: boolean;
  readonly #thoughts = new Map<string, { text: string; metadata: SharedV4ProviderMetadata | undefined }>();
  readonly #calls = new Map<string, { index: number; signed: boolean }>();
  readonly #lists: Record<'reasoning_details' | 'annotations' | 'images', object[]> = {
    reasoning_details: [],
    annotations: [],
    images: [],
  };
  #model: string;
  #started = false;

  constructor(context: ReplyContext) {
    const { stream_options: options } = context.request;
    this.#context = context;
    this.#sendsUsage = isObject(options) && options.include_usage === true;
    this.#model = context.model;
  }

  write(part: LanguageModelV4StreamPart): string {
    switch (part.type) {
      case 'response-metadata':
        this.#model = part.modelId ?? this.#model;
        return '';
      case 'text-delta':
        return part.delta === '' ? '' : this.#delta({ content: part.delta });
      case 'text-end': {
        const signature = googleSignature(part.providerMetadata);
        return signature ? this.#delta(signature) : '';
      }
      case 'reasoning-start':
      case 'reasoning-delta':
      case 'reasoning-end':
        return this.#thought(part);
      case 'tool-input-start':
        return part.providerExecuted
          ? ''
          : this.#startCall(part.id, part.toolName, '', part.providerMetadata);
      case 'tool-input-delta':
        return this.#continueCall(part.id, part.delta);
      case 'tool-call':
        return part.providerExecuted ? '' : this.#wholeCall(part);
      case 'source':
        return this.#keep('annotations', annotation(part));
      case 'file':
        return this.#keep('images', imageOf(part));
      case 'finish':
        return this.#finish(part);
      case 'error':
        return errorEvent(part.error);
      default:
        return '';
    }
  }

  end(): string {
    return 'data: [DONE]\n\n';
  }

  /** A thought's text goes out as it comes; its signature is known at its end, and goes out with the whole of it. */
  #thought(
    part: Extract<LanguageModelV4StreamPart, { type: `reasoning-${'start' | 'delta' | 'end'}` }>,
  ): string {
    const known = this.#thoughts.get(part.id) ?? { text: '', metadata: undefined };
    const delta = part.type === 'reasoning-delta' ? part.delta : '';
    known.text += delta;
    known.metadata = part.providerMetadata ?? known.metadata;
    this.#thoughts.set(part.id, known);
    if (part.type !== 'reasoning-end') return delta === '' ? '' : this.#delta({ reasoning_content: delta });
    this.#thoughts.delete(part.id);
    return this.#keep('reasoning_details', reasoningDetail(known.text, known.metadata));
  }

  #keep(list: 'reasoning_details' | 'annotations' | 'images', item: object | null): '' {
    if (item !== null) this.#lists[list].push({ index: this.#lists[list].length, ...item });
    return '';
  }

  #startCall(
    id: string,
    name: string,
    input: string,
    metadata: SharedV4ProviderMetadata | undefined,
  ): string {
    const signature = googleSignature(metadata);
    const index = this.#calls.size;
    this.#calls.set(id, { index, signed: signature !== undefined });
    const called = { name, arguments: input };
    return this.#delta({ tool_calls: [{ index, id, type: 'function', function: called, ...signature }] });
  }

  #continueCall(id: string, delta: string): string {
    const call = this.#calls.get(id);
    if (!call || delta === '') return '';
    return this.#delta({ tool_calls: [{ index: call.index, function: { arguments: delta } }] });
  }

  #wholeCall({
    toolCallId,
    toolName,
    input,
    providerMetadata,
  }: Extract<LanguageModelV4StreamPart, { type: 'tool-call' }>): string {
    const begun = this.#calls.get(toolCallId);
    if (!begun) return this.#startCall(toolCallId, toolName, input, providerMetadata);
    const signature = googleSignature(providerMetadata);
    if (!signature || begun.signed) return '';
    return this.#delta({ tool_calls: [{ index: begun.index, ...signature }] });
  }

  #finish(part: Extract<LanguageModelV4StreamPart, { type: 'finish' }>): string {
    const kept = Object.fromEntries(Object.entries(this.#lists).filter(([, items]) => items.length > 0));
    const lists = Object.keys(kept).length > 0 ? this.#delta(kept) : '';
    const last = { ...this.#noUsage(), ...threadOf(part.providerMetadata) };
    const finished = this.#event(
      [{ index: 0, delta: this.#first({}), logprobs: null, finish_reason: finishName(part.finishReason) }],
      last,
    );
    const usage = this.#sendsUsage ? chatUsage(part.usage) : null;
    return lists + finished + (usage === null ? '' : this.#event([], { usage }));
  }

  #delta(delta: object): string {
    return this.#event([{ index: 0, delta: this.#first(delta), logprobs: null, finish_reason: null }]);
  }

  /** As OpenAI has it on every event but the last, where usage was asked for. */
  #noUsage(): object {
    return this.#sendsUsage ? { usage: null } : {};
  }

  /** The role goes with the first thing that is said. */
  #first(delta: object): object {
    if (this.#started) return delta;
    this.#started = true;
    return { role: 'assistant', content: '', ...delta };
  }

  #event(choices: readonly object[], members: object = this.#noUsage()): string {
    const event = {
      id: `chatcmpl-${this.#context.callId}`,
      object: 'chat.completion.chunk',
      created: this.#context.createdAt,
      model: this.#model,
      choices,
      ...members,
    };
    return `data: ${JSON.stringify(event)}\n\n`;
  }
}

function errorEvent(error: unknown): string {
  const message = error instanceof Error ? error.message : isObject(error) ? error.message : error;
  const words = typeof message === 'string' ? message : 'The provider failed.';
  return `data: ${JSON.stringify({ error: { message: words, type: 'api_error', param: null, code: null } })}\n\n`;
}
