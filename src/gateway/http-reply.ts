import type { ServerResponse } from 'node:http';
import type { FastifyReply } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { AnsweredCall } from './call-model.ts';
import type { Cancellation } from './cancellation.ts';
import type { Entry, GeneratedBy, StreamSink, WholeAnswer } from './model-call.ts';

/** Silence on a stream after which a comment keeps proxies on the way from closing it. */
export const heartbeatMs = 15_000;
const heartbeat = ': keep-alive\n\n';
/** How long a reader may take nothing of what is left of a stream that has ended: after that it is taken for gone. */
export const lingerMs = 60_000;

/** Replies that are being made or sent, for what is done to all of them: heartbeats, and the end when the server stops. */
export type OpenReplies = Set<HttpReply>;

/**
 * The caller's side of a call over HTTP: whole answers go through the server's reply, streams straight to the socket,
 * so that a slow reader holds the provider back and never fills memory. Ends the call when the client leaves.
 */
export class HttpReply implements StreamSink, Entry {
  readonly ip: string;
  readonly weight = 1;
  readonly #reply: FastifyReply;
  readonly #cancellation: Cancellation;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #raw: ServerResponse | null = null;
  #lastWriteMs = 0;
  /** Bytes that wait for a slow reader behind the end of the stream; null before the end. */
  #leftBytes: number | null = null;

  constructor(
    reply: FastifyReply,
    cancellation: Cancellation,
    replies: OpenReplies,
    clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.ip = reply.request.clientNetwork;
    this.#reply = reply;
    this.#cancellation = cancellation;
    this.#clock = clock;
    replies.add(this);
    reply.raw.once('close', () => {
      replies.delete(this);
      // Without effect once the call has ended.
      cancellation.cancel('client');
    });
  }

  decided(headers: Readonly<Record<string, string>>): void {
    this.#reply.request.limitsDecided = true;
    this.#reply.headers(headers);
  }

  open(head: Pick<WholeAnswer, 'contentType' | 'headers' | 'generatedBy'>, resume: () => void): void {
    const reply = this.#reply.hijack();
    this.#raw = reply.raw;
    this.#raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      ...head.headers,
      'content-type': head.contentType,
      'cache-control': 'no-cache',
      // Asks nginx and its like not to gather the stream.
      'x-accel-buffering': 'no',
      'x-gatehouse-generated-by': generatedByHeader(head.generatedBy),
    });
    this.#raw.on('drain', resume);
  }

  write(bytes: Buffer): boolean {
    const raw = this.#raw;
    if (!raw || raw.destroyed) return true;
    this.#lastWriteMs = this.#clock.monotonicMs();
    return raw.write(bytes);
  }

  /**
   * Sends a comment when nothing was sent on a stream for a while; whole events only ever leave, so it cannot fall inside
   * one. Lets go of a reader that does not take the rest of a stream that has ended.
   */
  beat(): void {
    const raw = this.#raw;
    if (raw === null) return;
    const nowMs = this.#clock.monotonicMs();
    if (this.#leftBytes !== null && raw.writableLength !== this.#leftBytes) {
      this.#leftBytes = raw.writableLength;
      this.#lastWriteMs = nowMs;
    }
    const silentMs = nowMs - this.#lastWriteMs;
    if (this.#leftBytes !== null) {
      if (silentMs >= lingerMs) raw.destroy();
    } else if (silentMs >= heartbeatMs && !raw.writableNeedDrain) this.write(Buffer.from(heartbeat));
  }

  /** The server stops: a call that still goes on ends with an error that its client can read. */
  stop(): void {
    this.#cancellation.cancel('stopping');
  }

  /** Ends a stream. @returns a whole answer's body for the server to send; undefined when all has been sent. */
  finish({ answer }: AnsweredCall): Buffer | undefined {
    if (this.#raw !== null) {
      if (answer.kind === 'streamed') this.#raw.end(answer.tail);
      else this.#raw.end();
      this.#leftBytes = this.#raw.writableLength;
      this.#lastWriteMs = this.#clock.monotonicMs();
      return undefined;
    }
    if (answer.kind === 'streamed') {
      // A stream of nothing but its end mark.
      this.open(
        { contentType: 'text/event-stream; charset=utf-8', headers: {}, generatedBy: answer.generatedBy },
        () => {},
      );
      return this.finish({ answer, settled: null });
    }
    this.#reply
      .code(answer.status)
      .headers(answer.headers)
      .header('content-type', answer.contentType)
      .header('x-gatehouse-generated-by', generatedByHeader(answer.generatedBy));
    return answer.body;
  }

  /** The call failed before its first byte, or in a way that nothing can be said of any more. */
  abandon(): void {
    this.#raw?.destroy();
  }
}

/** `tier=…; provider=…; model=…`, with what has no place in a header percent-encoded. */
function generatedByHeader({ tier, provider, model }: GeneratedBy): string {
  return `tier=${tier}; provider=${provider}; model=${model.replace(/[^\x21-\x3a\x3c-\x7e]/gu, encodeURIComponent)}`;
}
