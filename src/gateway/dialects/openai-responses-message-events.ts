import type { LanguageModelV4Citation, LanguageModelV4Source } from '@ai-sdk/provider';
import { type EventWriter, itemOf, type Place } from './openai-responses-event-writer.ts';
import {
  annotationOf,
  emptyText,
  type ItemStatus,
  messageItem,
  type OutputText,
} from './openai-responses-items.ts';

/** Writes one message: its texts, and what they cite. A text is told as done when the next one or the end comes. */
export class MessageEvents {
  readonly #writer: EventWriter;
  readonly #place: Place;
  readonly #texts: OutputText[] = [];
  #mayGrow = false;

  /** @param sources that came before the message, for its first text. */
  constructor(writer: EventWriter, sources: readonly LanguageModelV4Source[]) {
    this.#writer = writer;
    this.#place = writer.place('msg');
    writer.added(this.#place, messageItem(this.#place.id, 'in_progress', []));
    const first = this.#openText();
    for (const source of sources) this.#annotate(first, source, { start: 0, end: 0 });
  }

  text(delta: string): void {
    const text = this.#mayGrow ? this.#last() : this.#openText();
    text.text += delta;
    this.#writer.emit('response.output_text.delta', { ...this.#at(), delta, logprobs: [] });
  }

  /** What is written from now on is another text. */
  endText(): void {
    this.#mayGrow = false;
  }

  source(source: LanguageModelV4Source): void {
    const text = this.#last();
    this.#annotate(text, source, { start: text.text.length, end: text.text.length });
  }

  cite({ source, startIndex, endIndex }: LanguageModelV4Citation): void {
    const text = this.#last();
    this.#annotate(text, source, { start: startIndex ?? 0, end: endIndex ?? text.text.length });
  }

  close(status: ItemStatus): void {
    this.#textDone();
    this.#writer.done(this.#place, messageItem(this.#place.id, status, this.#texts));
  }

  #openText(): OutputText {
    if (this.#texts.length > 0) this.#textDone();
    const text = emptyText();
    this.#texts.push(text);
    this.#mayGrow = true;
    this.#writer.emit('response.content_part.added', { ...this.#at(), part: text });
    return text;
  }

  #textDone(): void {
    const part = this.#last();
    this.#writer.emit('response.output_text.done', { ...this.#at(), text: part.text, logprobs: [] });
    this.#writer.emit('response.content_part.done', { ...this.#at(), part });
  }

  #annotate(text: OutputText, source: LanguageModelV4Source, at: { start: number; end: number }): void {
    const annotation_index = text.annotations.length;
    const annotation = annotationOf(source, at, annotation_index);
    text.annotations.push(annotation);
    const place = { ...this.#at(), annotation_index };
    this.#writer.emit('response.output_text.annotation.added', { ...place, annotation });
  }

  #last(): OutputText {
    return this.#texts.at(-1) ?? this.#openText();
  }

  #at() {
    return { ...itemOf(this.#place), content_index: this.#texts.length - 1 };
  }
}
