import type { JsonObject } from '../json-object.ts';
import type { ReplyContext } from '../translation/translation.ts';
import { itemId } from './openai-responses-items.ts';
import { type Ended, responseOf } from './openai-responses-reply.ts';

/** Where an item stands in the output, as its events name it. */
export interface Place {
  readonly id: string;
  readonly index: number;
}

/** Numbers a response's items and events, and keeps the items for the response at its end. */
export class EventWriter {
  modelId: string | undefined;
  readonly #context: ReplyContext;
  /** Items by their index; one that is still open is a hole. */
  readonly #output: JsonObject[] = [];
  #items = 0;
  #sequence = 0;
  #events: string[] = [];

  constructor(context: ReplyContext) {
    this.#context = context;
  }

  /** The place of the next item. */
  place(kind: Parameters<typeof itemId>[0]): Place {
    const index = this.#items++;
    return { id: itemId(kind, this.#context.callId, index), index };
  }

  added({ index }: Place, item: JsonObject): void {
    this.emit('response.output_item.added', { output_index: index, item });
  }

  done({ index }: Place, item: JsonObject): void {
    this.#output[index] = item;
    this.emit('response.output_item.done', { output_index: index, item });
  }

  /** An item that comes in one piece. */
  whole(place: Place, item: JsonObject): void {
    this.added(place, item);
    this.done(place, item);
  }

  /** The first event has the response's own two before it. */
  emit(type: string, members: JsonObject): void {
    this.begin();
    this.#push(type, members);
  }

  begin(): void {
    if (this.#sequence > 0) return;
    const response = responseOf(this.#context, this.modelId, [], null);
    this.#push('response.created', { response });
    this.#push('response.in_progress', { response });
  }

  end(ended: Ended): void {
    const response = responseOf(this.#context, this.modelId, this.#output, ended);
    this.emit(`response.${response.status}`, { response });
  }

  /** @returns the events since it was last asked. */
  written(): string {
    const events = this.#events.join('');
    this.#events = [];
    return events;
  }

  #push(type: string, members: JsonObject): void {
    const data = JSON.stringify({ type, sequence_number: this.#sequence++, ...members });
    this.#events.push(`event: ${type}\ndata: ${data}\n\n`);
  }
}

/** How the events of an item name it. */
export function itemOf({ id, index }: Place) {
  return { item_id: id, output_index: index };
}
