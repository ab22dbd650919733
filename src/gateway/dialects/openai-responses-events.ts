import type {
  LanguageModelV4Citation,
  LanguageModelV4Source,
  LanguageModelV4StreamPart,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import type { ReplyContext, TranslatedStream } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';
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
  type ToolCallOfModel,
} from './openai-responses-items.ts';
import { type Ended, itemStatusOf, responseOf } from './openai-responses-reply.ts';
import { customToolsOf } from './openai-responses-tools.ts';

interface OpenMessage {
  readonly kind: 'message';
  readonly id: string;
  readonly index: number;
  readonly texts: OutputText[];
  /** The last text may still grow; closed ones have been told as done. */
  textIsOpen: boolean;
}

interface OpenReasoning {
  readonly kind: 'reasoning';
  readonly id: string;
  readonly index: number;
  text: string;
}

interface OpenCall extends ToolCallOfModel {
  readonly index: number;
  readonly signed: boolean;
  input: string;
}

/**
 * Writes a stream of the Responses API (https://platform.openai.com/docs/api-reference/responses-streaming): the
 * events of each item in the order in which OpenAI sends them. An item is opened when there is something in it, so
 * nothing is written before the provider has answered, and closed when the next one opens, so that what is known of it
 * late (sources, signatures) still has its place.
 */
export class ResponseEvents implements TranslatedStream {
  readonly #context: ReplyContext;
  readonly #customTools: ReadonlySet<string>;
  /** Items by their index; an open one is a hole. */
  readonly #output: JsonObject[] = [];
  readonly #calls = new Map<string, OpenCall>();
  #items = 0;
  #sequence = 0;
  #open: OpenMessage | OpenReasoning | null = null;
  /** What the provider says of the reasoning that is being written. */
  #metadata: SharedV4ProviderMetadata | undefined;
  #modelId: string | undefined;
  /** Sources that came before any text. */
  #sources: LanguageModelV4Source[] = [];
  #ended: Ended | null = null;
  #events: string[] = [];

  constructor(context: ReplyContext) {
    this.#context = context;
    this.#customTools = customToolsOf(context.request);
  }

  write(part: LanguageModelV4StreamPart): string {
    this.#take(part);
    return this.#written();
  }

  end(): string {
    if (this.#ended === null) return '';
    const response = responseOf(this.#context, this.#modelId, this.#output, this.#ended);
    this.#emit(`response.${response.status}`, { response });
    return this.#written();
  }

  #take(part: LanguageModelV4StreamPart): void {
    switch (part.type) {
      case 'response-metadata':
        this.#modelId = part.modelId ?? this.#modelId;
        return;
      case 'text-delta':
        this.#text(part.delta);
        return;
      case 'text-end':
        for (const citation of part.citations ?? []) this.#cite(citation);
        this.#endText();
        return;
      case 'reasoning-start':
      case 'reasoning-delta':
        this.#metadata = part.providerMetadata ?? this.#metadata;
        if (part.type === 'reasoning-delta') this.#reason(part.delta);
        return;
      case 'reasoning-end':
        this.#metadata = part.providerMetadata ?? this.#metadata;
        this.#endReasoning();
        return;
      case 'tool-input-start':
        if (!part.providerExecuted) this.#startCall(part.id, part.toolName, part.providerMetadata);
        return;
      case 'tool-input-delta':
        this.#callDelta(part.id, part.delta);
        return;
      case 'tool-call':
        if (!part.providerExecuted)
          this.#endCall(part.toolCallId, part.toolName, part.input, part.providerMetadata);
        return;
      case 'file':
        this.#wholeItem(imageItem(itemId('ig', this.#context.callId, this.#items), part));
        return;
      case 'source':
        this.#source(part);
        return;
      case 'finish':
        this.#finish(part);
        return;
      case 'error':
        this.#fail(part.error);
        return;
    }
  }

  #text(delta: string): void {
    if (delta === '') return;
    const message = this.#openMessage();
    const text = this.#openText(message);
    text.text += delta;
    const place = {
      item_id: message.id,
      output_index: message.index,
      content_index: message.texts.length - 1,
    };
    this.#emit('response.output_text.delta', { ...place, delta, logprobs: [] });
  }

  #openMessage(): OpenMessage {
    if (this.#open?.kind === 'message') return this.#open;
    this.#close('completed');
    const index = this.#items++;
    const id = itemId('msg', this.#context.callId, index);
    const message: OpenMessage = { kind: 'message', id, index, texts: [], textIsOpen: false };
    this.#open = message;
    this.#added(index, messageItem(id, 'in_progress', []));
    return message;
  }

  #openText(message: OpenMessage): OutputText {
    const last = message.texts.at(-1);
    if (last && message.textIsOpen) return last;
    if (last) this.#textDone(message, last);
    const text = emptyText();
    message.texts.push(text);
    message.textIsOpen = true;
    this.#emit('response.content_part.added', { ...placeOf(message), part: text });
    for (const source of this.#sources.splice(0)) this.#annotate(message, text, source, { start: 0, end: 0 });
    return text;
  }

  #endText(): void {
    if (this.#open?.kind === 'message') this.#open.textIsOpen = false;
  }

  #source(source: LanguageModelV4Source): void {
    const text = this.#open?.kind === 'message' ? this.#open.texts.at(-1) : undefined;
    if (this.#open?.kind !== 'message' || !text) this.#sources.push(source);
    else this.#annotate(this.#open, text, source, { start: text.text.length, end: text.text.length });
  }

  #cite({ source, startIndex, endIndex }: LanguageModelV4Citation): void {
    const text = this.#open?.kind === 'message' ? this.#open.texts.at(-1) : undefined;
    if (this.#open?.kind !== 'message' || !text) return;
    this.#annotate(this.#open, text, source, { start: startIndex ?? 0, end: endIndex ?? text.text.length });
  }

  #annotate(
    message: OpenMessage,
    text: OutputText,
    source: LanguageModelV4Source,
    at: { start: number; end: number },
  ): void {
    const annotation_index = text.annotations.length;
    const annotation = annotationOf(source, at, annotation_index);
    text.annotations.push(annotation);
    this.#emit('response.output_text.annotation.added', {
      ...placeOf(message),
      annotation_index,
      annotation,
    });
  }

  #reason(delta: string): void {
    if (delta === '') return;
    let open = this.#open;
    if (open?.kind !== 'reasoning') {
      this.#close('completed');
      const index = this.#items++;
      open = { kind: 'reasoning', id: itemId('rs', this.#context.callId, index), index, text: '' };
      this.#open = open;
      this.#added(index, reasoningItem(open.id, '', undefined));
      const part = { type: 'summary_text', text: '' };
      this.#emit('response.reasoning_summary_part.added', { ...summaryPlaceOf(open), part });
    }
    open.text += delta;
    this.#emit('response.reasoning_summary_text.delta', { ...summaryPlaceOf(open), delta });
  }

  /** Reasoning that is not shown may still have to be handed back. */
  #endReasoning(): void {
    if (this.#open?.kind === 'reasoning') {
      this.#close('completed');
      return;
    }
    const item = reasoningItem(itemId('rs', this.#context.callId, this.#items), '', this.#metadata);
    this.#metadata = undefined;
    if (item.encrypted_content !== undefined) this.#wholeItem(item);
  }

  #startCall(callId: string, name: string, metadata: SharedV4ProviderMetadata | undefined): OpenCall {
    this.#close('completed');
    const signed = this.#sign(callId, metadata);
    const index = this.#items++;
    const custom = this.#customTools.has(name);
    const id = itemId(custom ? 'ctc' : 'fc', this.#context.callId, index);
    const call: OpenCall = { id, callId, name, custom, index, signed, input: '' };
    this.#calls.set(callId, call);
    this.#added(index, callItem(call, 'in_progress', ''));
    return call;
  }

  /** The input of a custom tool is inside of JSON, so it is told once it is whole. */
  #callDelta(callId: string, delta: string): void {
    const call = this.#calls.get(callId);
    if (!call || delta === '') return;
    call.input += delta;
    if (!call.custom) this.#emit('response.function_call_arguments.delta', { ...itemPlaceOf(call), delta });
  }

  #endCall(
    callId: string,
    name: string,
    input: string,
    metadata: SharedV4ProviderMetadata | undefined,
  ): void {
    const call = this.#calls.get(callId) ?? this.#startCall(callId, name, metadata);
    this.#calls.delete(callId);
    if (call.input === '') this.#callDeltaOfWhole(call, input);
    this.#callDone(call, input, 'completed');
    if (!call.signed) this.#sign(callId, metadata);
  }

  #callDeltaOfWhole(call: OpenCall, input: string): void {
    if (!call.custom && input !== '') {
      this.#emit('response.function_call_arguments.delta', { ...itemPlaceOf(call), delta: input });
    }
  }

  #callDone(call: OpenCall, input: string, status: ItemStatus): void {
    const item = callItem(call, status, input);
    if (call.custom) {
      const text = String(item.input);
      this.#emit('response.custom_tool_call_input.delta', { ...itemPlaceOf(call), delta: text });
      this.#emit('response.custom_tool_call_input.done', { ...itemPlaceOf(call), input: text });
    } else {
      const { name } = call;
      this.#emit('response.function_call_arguments.done', { ...itemPlaceOf(call), name, arguments: input });
    }
    this.#done(call.index, item);
  }

  #sign(callId: string, metadata: SharedV4ProviderMetadata | undefined): boolean {
    const item = signatureItem(itemId('rs', this.#context.callId, this.#items), callId, metadata);
    this.#wholeItem(item);
    return item !== null;
  }

  #wholeItem(item: JsonObject | null): void {
    if (item === null) return;
    this.#close('completed');
    const index = this.#items++;
    this.#added(index, item);
    this.#done(index, item);
  }

  #close(status: ItemStatus): void {
    const open = this.#open;
    this.#open = null;
    if (open?.kind === 'message') {
      const last = open.texts.at(-1);
      if (last) this.#textDone(open, last);
      this.#done(open.index, messageItem(open.id, status, open.texts));
    } else if (open?.kind === 'reasoning') {
      const { text } = open;
      this.#emit('response.reasoning_summary_text.done', { ...summaryPlaceOf(open), text });
      const part = { type: 'summary_text', text };
      this.#emit('response.reasoning_summary_part.done', { ...summaryPlaceOf(open), part });
      this.#done(open.index, reasoningItem(open.id, text, this.#metadata));
      this.#metadata = undefined;
    }
  }

  #textDone(message: OpenMessage, text: OutputText): void {
    this.#emit('response.output_text.done', { ...placeOf(message), text: text.text, logprobs: [] });
    this.#emit('response.content_part.done', { ...placeOf(message), part: text });
  }

  #finish(ended: Ended): void {
    const status = itemStatusOf(ended.finishReason);
    this.#close(status);
    for (const call of this.#calls.values()) this.#callDone(call, call.input, 'incomplete');
    this.#calls.clear();
    this.#ended = ended;
    // A reply without any content has its beginning, too.
    this.#begin();
  }

  /** Nested, so that the official clients raise it; at the top as well, as the API's reference has it. */
  #fail(error: unknown): void {
    const { message } = recordOf(error);
    const said = {
      code: 'server_error',
      message: typeof message === 'string' ? message.slice(0, 2_000) : 'The provider failed.',
      param: null,
    };
    this.#emit('error', { ...said, error: { type: 'server_error', ...said } });
  }

  #added(index: number, item: JsonObject): void {
    this.#emit('response.output_item.added', { output_index: index, item });
  }

  #done(index: number, item: JsonObject): void {
    this.#output[index] = item;
    this.#emit('response.output_item.done', { output_index: index, item });
  }

  #begin(): void {
    if (this.#sequence > 0) return;
    const response = responseOf(this.#context, this.#modelId, [], null);
    this.#push('response.created', { response });
    this.#push('response.in_progress', { response });
  }

  #emit(type: string, members: JsonObject): void {
    this.#begin();
    this.#push(type, members);
  }

  #push(type: string, members: JsonObject): void {
    const data = JSON.stringify({ type, sequence_number: this.#sequence++, ...members });
    this.#events.push(`event: ${type}\ndata: ${data}\n\n`);
  }

  #written(): string {
    const events = this.#events.join('');
    this.#events = [];
    return events;
  }
}

function itemPlaceOf({ id, index }: { readonly id: string; readonly index: number }) {
  return { item_id: id, output_index: index };
}

function placeOf(message: OpenMessage) {
  return { ...itemPlaceOf(message), content_index: message.texts.length - 1 };
}

function summaryPlaceOf(reasoning: OpenReasoning) {
  return { ...itemPlaceOf(reasoning), summary_index: 0 };
}
