import type { CachedReply, ModelTurn } from '../cache/index.ts';
import type { StreamedAnswer, StreamSink, WholeAnswer } from './model-call.ts';

type Head = Pick<WholeAnswer, 'contentType' | 'headers' | 'generatedBy'>;

/**
 * Keeps what of a stream has left, so that it can be given again, and tells its caller about the cache. A stream that
 * grows beyond what is kept goes on without being recorded, and those who wait for it are let go.
 */
export class RecordedStream implements StreamSink {
  readonly #sink: StreamSink;
  readonly #turn: Pick<ModelTurn, 'headers' | 'maxBytes' | 'releaseAll'>;
  #head: Head | null = null;
  #chunks: Buffer[] | null;
  #bytes = 0;

  constructor(sink: StreamSink, turn: Pick<ModelTurn, 'headers' | 'maxBytes' | 'releaseAll'>) {
    this.#sink = sink;
    this.#turn = turn;
    this.#chunks = turn.maxBytes > 0 ? [] : null;
  }

  open(head: Head, resume: () => void): void {
    this.#head = head;
    this.#sink.open({ ...head, headers: { ...head.headers, ...this.#turn.headers } }, resume);
  }

  write(bytes: Buffer): boolean {
    this.#record(bytes);
    return this.#sink.write(bytes);
  }

  /** The whole stream, its end included; null when it is not to be kept. */
  reply(answer: StreamedAnswer): Omit<CachedReply, 'usage' | 'costNanoUsd' | 'storedAtMs'> | null {
    this.#record(answer.tail);
    if (this.#head === null || this.#chunks === null || answer.error !== null) return null;
    const { contentType, headers, generatedBy } = this.#head;
    return { streamed: true, contentType, headers, generatedBy, body: Buffer.concat(this.#chunks) };
  }

  #record(bytes: Buffer): void {
    if (this.#chunks === null || bytes.length === 0) return;
    this.#bytes += bytes.length;
    if (this.#bytes <= this.#turn.maxBytes) {
      // A copy: a few bytes would hold on to the whole block that they arrived in.
      this.#chunks.push(Buffer.from(bytes));
      return;
    }
    this.#chunks = null;
    this.#turn.releaseAll();
  }
}
