import type { SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { type EventWriter, itemOf, type Place } from './openai-responses-event-writer.ts';
import { reasoningItem } from './openai-responses-items.ts';

/** Writes what a model thought, as the summary that the official clients show. */
export class ReasoningEvents {
  readonly #writer: EventWriter;
  readonly #place: Place;
  #text = '';

  constructor(writer: EventWriter) {
    this.#writer = writer;
    this.#place = writer.place('rs');
    writer.added(this.#place, reasoningItem(this.#place.id, '', undefined));
    const part = { type: 'summary_text', text: '' };
    writer.emit('response.reasoning_summary_part.added', { ...this.#at(), part });
  }

  text(delta: string): void {
    this.#text += delta;
    this.#writer.emit('response.reasoning_summary_text.delta', { ...this.#at(), delta });
  }

  /** @param metadata of the provider's: it signs what was thought when that is whole. */
  close(metadata: SharedV4ProviderMetadata | undefined): void {
    const text = this.#text;
    const part = { type: 'summary_text', text };
    this.#writer.emit('response.reasoning_summary_text.done', { ...this.#at(), text });
    this.#writer.emit('response.reasoning_summary_part.done', { ...this.#at(), part });
    this.#writer.done(this.#place, reasoningItem(this.#place.id, text, metadata));
  }

  #at() {
    return { ...itemOf(this.#place), summary_index: 0 };
  }
}
