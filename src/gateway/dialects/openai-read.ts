import { AppError } from '../../platform/errors.ts';
import type { AnsweredCall } from '../call-model.ts';
import type { JsonObject } from '../json-object.ts';
import type { StreamSink } from '../model-call.ts';
import { EventSplitter } from '../sse-events.ts';

/** Reads replies of the OpenAI API for callers in this process, who want text and numbers instead of bytes. */
export interface ChatCompletion {
  readonly text: string;
  readonly finishReason: string | null;
}

/** Gathers the text of a streamed answer, and tells of each piece as it comes. */
export class ChatText implements StreamSink {
  finishReason: string | null = null;
  readonly #onText: (text: string) => void;
  readonly #pieces: string[] = [];
  readonly #splitter = new EventSplitter();

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  open(): void {}

  write(bytes: Buffer): boolean {
    const events = this.#splitter.push(bytes);
    let start = 0;
    for (const end of events?.ends ?? []) {
      this.#read(events?.bytes.toString('utf8', start, end) ?? '');
      start = end;
    }
    return true;
  }

  take({ text, finishReason }: ChatCompletion): void {
    this.finishReason = finishReason ?? this.finishReason;
    if (text === '') return;
    this.#pieces.push(text);
    this.#onText(text);
  }

  all(): string {
    return this.#pieces.join('');
  }

  #read(event: string): void {
    const data = event.slice(event.indexOf(':') + 1).trim();
    if (!event.startsWith('data:') || !data.startsWith('{')) return;
    const choice = firstChoice(parsed(data));
    const text = record(choice.delta).content;
    const finishReason = choice.finish_reason;
    this.take({ text: textOf(text), finishReason: typeof finishReason === 'string' ? finishReason : null });
  }
}

/** @param answered with a whole answer. @throws AppError `upstream_failed` when it is no chat completion. */
export function readChatCompletion(answered: AnsweredCall): ChatCompletion {
  const choice = firstChoice(wholeReply(answered));
  const finishReason = choice.finish_reason;
  return {
    text: textOf(record(choice.message).content),
    finishReason: typeof finishReason === 'string' ? finishReason : null,
  };
}

/**
 * @param expected how many vectors were asked for.
 * @throws AppError `upstream_failed` when there are not that many, or they are of different lengths.
 */
export function readEmbeddings(
  answered: AnsweredCall,
  expected: number,
): { vectors: Float32Array[]; model: string | null } {
  const reply = wholeReply(answered);
  const data = Array.isArray(reply.data) ? reply.data.map(record) : [];
  const vectors: (Float32Array | undefined)[] = Array.from({ length: expected });
  data.forEach((item, position) => {
    const index = typeof item.index === 'number' ? item.index : position;
    if (index < expected) vectors[index] = vectorOf(item.embedding);
  });
  const dimensions = vectors[0]?.length ?? 0;
  const whole = vectors.filter(
    (vector) => vector !== undefined && vector.length === dimensions && dimensions > 0,
  );
  if (whole.length !== expected) {
    const { provider } = answered.answer.generatedBy;
    throw new AppError('upstream_failed', `The provider "${provider}" did not give a vector for each text.`);
  }
  return { vectors: whole as Float32Array[], model: typeof reply.model === 'string' ? reply.model : null };
}

/** @throws AppError `upstream_rejected` with the provider's own words when it refused the request. */
function wholeReply({ answer }: AnsweredCall): JsonObject {
  if (answer.kind !== 'whole') throw new Error('a streamed answer has no whole reply');
  const reply = parsed(answer.body.toString('utf8'));
  if (answer.status < 300) return reply;
  const { message } = record(reply.error);
  const said = typeof message === 'string' ? `: ${message.slice(0, 500)}` : '';
  throw new AppError(
    'upstream_rejected',
    `The provider "${answer.generatedBy.provider}" refused the request (${answer.status})${said}`,
  );
}

/** Numbers as JSON has them, or 32-bit floats in base64. */
function vectorOf(given: unknown): Float32Array | undefined {
  if (Array.isArray(given)) {
    const vector = Float32Array.from(given, Number);
    return vector.every(Number.isFinite) ? vector : undefined;
  }
  if (typeof given !== 'string') return undefined;
  const bytes = Buffer.from(given, 'base64');
  const vector = new Float32Array(Math.floor(bytes.length / 4));
  for (let n = 0; n < vector.length; n++) vector[n] = bytes.readFloatLE(n * 4);
  return vector;
}

function firstChoice(reply: JsonObject): JsonObject {
  return Array.isArray(reply.choices) ? record(reply.choices[0]) : {};
}

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : '';
}

function record(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function parsed(text: string): JsonObject {
  try {
    return record(JSON.parse(text));
  } catch {
    return {};
  }
}
