import type { LanguageModelV4StreamPart, SharedV4ProviderMetadata } from '@ai-sdk/provider';
import type { JsonObject } from '../json-object.ts';
import { type SignedThought, signedThought } from '../translation/reasoning-carriers.ts';
import type { ReplyContext, TranslatedStream } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';
import { anthropicError } from './anthropic-error.ts';
import { emptyMessage, messageUsage, stopReason, toolUse } from './anthropic-message.ts';
import { hidesThoughts } from './anthropic-settings.ts';
import { callSignatureBlock, signatureOf, thoughtBlock } from './anthropic-thoughts.ts';

type Part<T extends LanguageModelV4StreamPart['type']> = Extract<LanguageModelV4StreamPart, { type: T }>;

interface OpenBlock {
  readonly kind: 'text' | 'thinking' | 'tool' | 'opaque';
  /** As the provider's package calls the part. */
  readonly id: string;
  readonly index: number;
}

/** Parts that may wait for a tool's call to end; no answer comes to that many. */
const maxWaiting = 100_000;

/**
 * Writes a stream of the neutral form as Anthropic's events
 * (https://platform.claude.com/docs/en/build-with-claude/streaming). There a block ends before the next one begins,
 * while packages may keep several parts open: texts and thoughts are ended early, and all else waits for a tool's call.
 */
export class AnthropicStreamWriter implements TranslatedStream {
  readonly #context: ReplyContext;
  readonly #hidden: ReturnType<typeof hidesThoughts>;
  #model: string;
  #begun = false;
  #blocks = 0;
  #open: OpenBlock | null = null;
  /** What signs the thoughts of the block that is open. */
  #signed: SignedThought | null = null;
  /** What came while a tool's call was open, by the part that it belongs to. */
  readonly #waiting = new Map<string, LanguageModelV4StreamPart[]>();
  #waitingParts = 0;
  #releasing = false;
  /** Calls by their ids: the part with the whole call has nothing new for those that came in pieces. */
  readonly #calls = new Set<string>();

  constructor(context: ReplyContext) {
    this.#context = context;
    this.#model = context.model;
    this.#hidden = hidesThoughts(context.request);
  }

  write(part: LanguageModelV4StreamPart): string {
    const id = idOf(part);
    if (this.#open?.kind === 'tool' && id !== null && id !== this.#open.id) {
      this.#wait(id, part);
      return '';
    }
    switch (part.type) {
      case 'response-metadata':
        this.#model = part.modelId ?? this.#model;
        return '';
      case 'text-delta':
        return part.delta === '' ? '' : this.#text(part);
      case 'reasoning-start':
      case 'reasoning-delta':
      case 'reasoning-end':
        return this.#hidden === 'all' ? '' : this.#thought(part);
      case 'tool-input-start':
        return part.providerExecuted ? '' : this.#startCall(part.id, part.toolName, part.providerMetadata);
      case 'tool-input-delta':
        return this.#isOpen('tool', part.id) && part.delta !== '' ? this.#input(part.delta) : '';
      case 'tool-input-end':
        return this.#isOpen('tool', part.id) ? this.#endCall() : '';
      case 'tool-call':
        return part.providerExecuted ? '' : this.#wholeCall(part);
      case 'finish':
        return this.#finish(part);
      case 'error':
        return event('error', anthropicError(errorOf(part.error)));
      default:
        return '';
    }
  }

  end(): string {
    return event('message_stop', { type: 'message_stop' });
  }

  #isOpen(kind: OpenBlock['kind'], id: string): boolean {
    return this.#open?.kind === kind && this.#open.id === id;
  }

  #begin(): string {
    if (this.#begun) return '';
    this.#begun = true;
    const message = emptyMessage({ ...this.#context, model: this.#model });
    return event('message_start', { type: 'message_start', message });
  }

  #start(kind: OpenBlock['kind'], id: string, block: JsonObject): string {
    const before = this.#begin() + this.#stop();
    const index = this.#blocks++;
    this.#open = { kind, id, index };
    return (
      before + event('content_block_start', { type: 'content_block_start', index, content_block: block })
    );
  }

  #delta(type: string, content: JsonObject): string {
    const index = this.#open?.index ?? 0;
    return event('content_block_delta', { type: 'content_block_delta', index, delta: { type, ...content } });
  }

  /** Ends the block that is open; thoughts with their signature. */
  #stop(): string {
    if (!this.#open) return '';
    const { index, kind } = this.#open;
    const signature =
      kind === 'thinking' ? this.#delta('signature_delta', { signature: signatureOf(this.#signed) }) : '';
    this.#open = null;
    this.#signed = null;
    return signature + event('content_block_stop', { type: 'content_block_stop', index });
  }

  #text({ id, delta }: Part<'text-delta'>): string {
    const block = { type: 'text', text: '', citations: null };
    const start = this.#isOpen('text', id) ? '' : this.#start('text', id, block);
    return start + this.#delta('text_delta', { text: delta });
  }

  /** A package gives a signature with any of these; thoughts that nobody can read are a block of their own. */
  #thought(part: Part<'reasoning-start' | 'reasoning-delta' | 'reasoning-end'>): string {
    const signed = signedThought(part.providerMetadata);
    if (signed?.encrypted !== undefined) {
      return this.#start('opaque', part.id, thoughtBlock('', part.providerMetadata)) + this.#stop();
    }
    const isOpen = this.#isOpen('thinking', part.id);
    const text = part.type === 'reasoning-delta' ? part.delta : '';
    if (!isOpen && text === '' && signed === null) return '';
    const start = isOpen ? '' : this.#start('thinking', part.id, emptyThoughts);
    this.#signed = signed ?? this.#signed;
    const said =
      text === '' || this.#hidden === 'texts' ? '' : this.#delta('thinking_delta', { thinking: text });
    return start + said + (part.type === 'reasoning-end' ? this.#stop() : '');
  }

  #startCall(id: string, toolName: string, metadata: SharedV4ProviderMetadata | undefined): string {
    this.#calls.add(id);
    const signature = callSignatureBlock(metadata);
    const before = signature ? this.#start('opaque', id, signature) : '';
    return before + this.#start('tool', id, toolUse({ toolCallId: id, toolName }));
  }

  #input(json: string): string {
    return this.#delta('input_json_delta', { partial_json: json });
  }

  #wait(id: string, part: LanguageModelV4StreamPart): void {
    if (++this.#waitingParts > maxWaiting) throw new Error('the call of a tool does not end');
    const sameBlock = this.#waiting.get(id);
    if (sameBlock) sameBlock.push(part);
    else this.#waiting.set(id, [part]);
  }

  /** What waited comes now, block by block, up to a call that has not ended, either. */
  #endCall(): string {
    let events = this.#stop();
    // Ends of calls among what waited: whoever lets it go goes on by itself.
    if (this.#releasing) return events;
    this.#releasing = true;
    for (const [id, parts] of this.#waiting) {
      if (this.#open?.kind === 'tool') break;
      this.#waiting.delete(id);
      this.#waitingParts -= parts.length;
      for (const part of parts) events += this.write(part);
    }
    this.#releasing = false;
    return events;
  }

  #wholeCall(call: Part<'tool-call'>): string {
    if (this.#isOpen('tool', call.toolCallId)) return this.#endCall();
    if (this.#calls.has(call.toolCallId)) return '';
    const start = this.#startCall(call.toolCallId, call.toolName, call.providerMetadata);
    return start + this.#input(call.input.trim() === '' ? '{}' : call.input) + this.#endCall();
  }

  #finish({ finishReason, usage }: Part<'finish'>): string {
    let events = this.#begin();
    // Each round ends the call that is open, so that what waited for it is fewer by at least its end.
    do events += this.#endCall();
    while (this.#open || this.#waiting.size > 0);
    const delta = { stop_reason: stopReason(finishReason, this.#calls.size > 0), stop_sequence: null };
    return events + event('message_delta', { type: 'message_delta', delta, usage: messageUsage(usage) });
  }
}

const emptyThoughts = { type: 'thinking', thinking: '', signature: '' };

function idOf(part: LanguageModelV4StreamPart): string | null {
  if (part.type === 'tool-call') return part.toolCallId;
  return 'id' in part && part.type !== 'response-metadata' && part.type !== 'source' ? part.id : null;
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A provider's own error in the middle of its stream. */
function errorOf(error: unknown): { status: number; message: string } {
  const { status, statusCode, message } = recordOf(error);
  const known = [status, statusCode].find((value) => typeof value === 'number');
  return {
    status: typeof known === 'number' ? known : 500,
    message: typeof message === 'string' && message !== '' ? message : 'The provider failed.',
  };
}
