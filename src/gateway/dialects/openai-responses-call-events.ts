import type { SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { type EventWriter, itemOf, type Place } from './openai-responses-event-writer.ts';
import { callItem, type ItemStatus, signatureItem, type ToolCallOfModel } from './openai-responses-items.ts';
import { sealCall } from './openai-responses-seal.ts';

interface OpenCall extends ToolCallOfModel {
  readonly place: Place;
  readonly signed: boolean;
  input: string;
}

/** Writes the calls of tools; several may be open at once, as a provider mingles them. */
export class CallEvents {
  readonly #writer: EventWriter;
  readonly #customTools: ReadonlySet<string>;
  readonly #open = new Map<string, OpenCall>();

  constructor(writer: EventWriter, customTools: ReadonlySet<string>) {
    this.#writer = writer;
    this.#customTools = customTools;
  }

  has(callId: string): boolean {
    return this.#open.has(callId);
  }

  start(callId: string, name: string, metadata: SharedV4ProviderMetadata | undefined): OpenCall {
    const signed = this.#sign(callId, metadata);
    const custom = this.#customTools.has(name);
    const place = this.#writer.place(custom ? 'ctc' : 'fc');
    const call: OpenCall = { id: place.id, callId, name, custom, place, signed, input: '' };
    this.#open.set(callId, call);
    this.#writer.added(place, callItem(call, 'in_progress', ''));
    return call;
  }

  /** The input of a custom tool is inside of JSON, so it is told once it is whole. */
  delta(callId: string, delta: string): void {
    const call = this.#open.get(callId);
    if (!call || delta === '') return;
    call.input += delta;
    if (!call.custom) this.#argumentsDelta(call, delta);
  }

  end(callId: string, name: string, input: string, metadata: SharedV4ProviderMetadata | undefined): void {
    const call = this.#open.get(callId) ?? this.start(callId, name, metadata);
    this.#open.delete(callId);
    if (call.input === '' && input !== '' && !call.custom) this.#argumentsDelta(call, input);
    this.#done(call, input, 'completed');
    if (!call.signed) this.#sign(callId, metadata);
  }

  /** The reply was cut off: what is still open stays as it is. */
  cut(): void {
    for (const call of this.#open.values()) this.#done(call, call.input, 'incomplete');
    this.#open.clear();
  }

  #argumentsDelta(call: OpenCall, delta: string): void {
    this.#writer.emit('response.function_call_arguments.delta', { ...itemOf(call.place), delta });
  }

  #done(call: OpenCall, input: string, status: ItemStatus): void {
    const at = itemOf(call.place);
    const item = callItem(call, status, input);
    if (call.custom) {
      const text = String(item.input);
      this.#writer.emit('response.custom_tool_call_input.delta', { ...at, delta: text });
      this.#writer.emit('response.custom_tool_call_input.done', { ...at, input: text });
    } else {
      const { name } = call;
      this.#writer.emit('response.function_call_arguments.done', { ...at, name, arguments: input });
    }
    this.#writer.done(call.place, item);
  }

  #sign(callId: string, metadata: SharedV4ProviderMetadata | undefined): boolean {
    if (sealCall(callId, metadata) === null) return false;
    const place = this.#writer.place('rs');
    const item = signatureItem(place.id, callId, metadata);
    if (item) this.#writer.whole(place, item);
    return true;
  }
}
