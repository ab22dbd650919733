import type {
  LanguageModelV4Source,
  LanguageModelV4StreamPart,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { ReplyContext, TranslatedStream } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';
import { CallEvents } from './openai-responses-call-events.ts';
import { EventWriter } from './openai-responses-event-writer.ts';
import { type ItemStatus, imageItem, reasoningItem } from './openai-responses-items.ts';
import { MessageEvents } from './openai-responses-message-events.ts';
import { ReasoningEvents } from './openai-responses-reasoning-events.ts';
import { type Ended, itemStatusOf } from './openai-responses-reply.ts';
import { sealReasoning } from './openai-responses-seal.ts';
import { customToolsOf } from './openai-responses-tools.ts';

type Part<T extends LanguageModelV4StreamPart['type']> = Extract<LanguageModelV4StreamPart, { type: T }>;

/**
 * Writes a stream of the Responses API (https://platform.openai.com/docs/api-reference/responses-streaming): the
 * events of each item in the order in which OpenAI sends them. An item is opened when there is something in it, so
 * nothing is written before the provider has answered, and closed when the next one opens, so that what is known of it
 * late (sources, signatures) still has its place.
 */
export class ResponseEvents implements TranslatedStream {
  readonly #writer: EventWriter;
  readonly #calls: CallEvents;
  #message: MessageEvents | null = null;
  #reasoning: ReasoningEvents | null = null;
  /** What the provider says of the reasoning that is being written. */
  #metadata: SharedV4ProviderMetadata | undefined;
  /** Sources that came before any text. */
  #sources: LanguageModelV4Source[] = [];
  #ended: Ended | null = null;

  constructor(context: ReplyContext) {
    this.#writer = new EventWriter(context);
    this.#calls = new CallEvents(this.#writer, customToolsOf(context.request));
  }

  write(part: LanguageModelV4StreamPart): string {
    this.#take(part);
    return this.#writer.written();
  }

  end(): string {
    if (this.#ended === null) return '';
    this.#writer.end(this.#ended);
    return this.#writer.written();
  }

  #take(part: LanguageModelV4StreamPart): void {
    switch (part.type) {
      case 'response-metadata':
        this.#writer.modelId = part.modelId ?? this.#writer.modelId;
        break;
      case 'text-delta':
        if (part.delta !== '') this.#openMessage().text(part.delta);
        break;
      case 'text-end':
        for (const citation of part.citations ?? []) this.#message?.cite(citation);
        this.#message?.endText();
        break;
      case 'source':
        if (this.#message) this.#message.source(part);
        else this.#sources.push(part);
        break;
      case 'reasoning-start':
      case 'reasoning-delta':
      case 'reasoning-end':
        this.#think(part);
        break;
      case 'tool-input-start':
      case 'tool-input-delta':
      case 'tool-call':
        this.#call(part);
        break;
      case 'file':
        this.#file(part);
        break;
      case 'finish':
        this.#finish(part);
        break;
      case 'error':
        this.#fail(part.error);
        break;
    }
  }

  #openMessage(): MessageEvents {
    if (this.#message === null) {
      this.#close('completed');
      this.#message = new MessageEvents(this.#writer, this.#sources.splice(0));
    }
    return this.#message;
  }

  #think(part: Part<'reasoning-start' | 'reasoning-delta' | 'reasoning-end'>): void {
    this.#metadata = part.providerMetadata ?? this.#metadata;
    if (part.type === 'reasoning-delta' && part.delta !== '') {
      if (this.#reasoning === null) {
        this.#close('completed');
        this.#reasoning = new ReasoningEvents(this.#writer);
      }
      this.#reasoning.text(part.delta);
    }
    if (part.type === 'reasoning-end') this.#endThought();
  }

  /** A thought that is not shown may still have to be handed back. */
  #endThought(): void {
    const metadata = this.#metadata;
    if (this.#reasoning === null && sealReasoning(metadata) !== null) {
      this.#close('completed');
      const place = this.#writer.place('rs');
      this.#writer.whole(place, reasoningItem(place.id, '', metadata));
    } else if (this.#reasoning !== null) this.#close('completed');
    this.#metadata = undefined;
  }

  /** Tools that a provider runs itself are never asked for here, so nothing is said of them. */
  #call(part: Part<'tool-input-start' | 'tool-input-delta' | 'tool-call'>): void {
    if (part.type === 'tool-input-delta') {
      this.#calls.delta(part.id, part.delta);
      return;
    }
    if (part.providerExecuted) return;
    const { toolName, providerMetadata } = part;
    if (part.type === 'tool-input-start') {
      this.#close('completed');
      this.#calls.start(part.id, toolName, providerMetadata);
      return;
    }
    if (!this.#calls.has(part.toolCallId)) this.#close('completed');
    this.#calls.end(part.toolCallId, toolName, part.input, providerMetadata);
  }

  #file(file: Part<'file'>): void {
    if (imageItem('', file) === null) return;
    this.#close('completed');
    const place = this.#writer.place('ig');
    const item = imageItem(place.id, file);
    if (item) this.#writer.whole(place, item);
  }

  #close(status: ItemStatus): void {
    this.#message?.close(status);
    this.#message = null;
    this.#reasoning?.close(this.#metadata);
    if (this.#reasoning) this.#metadata = undefined;
    this.#reasoning = null;
  }

  #finish(ended: Ended): void {
    this.#close(itemStatusOf(ended.finishReason));
    this.#calls.cut();
    this.#ended = ended;
    // A reply without any content has its beginning, too.
    this.#writer.begin();
  }

  /** Nested, so that the official clients raise it; at the top as well, as the API's reference has it. */
  #fail(error: unknown): void {
    const { message } = recordOf(error);
    const said = {
      code: 'server_error',
      message: typeof message === 'string' ? message.slice(0, 2_000) : 'The provider failed.',
      param: null,
    };
    this.#writer.emit('error', { ...said, error: { type: 'server_error', ...said } });
  }
}
