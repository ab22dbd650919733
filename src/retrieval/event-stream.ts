import { once } from 'node:events';
import type { FastifyReply } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';

/** Server-sent events to one caller. */
export interface EventStream {
  /** Sends the status line and headers. Until then an error can still be an ordinary reply. */
  open(): void;
  readonly isOpen: boolean;
  /** Resolves when the caller's connection has taken the event, so that a slow reader slows the writer. */
  send(event: string, data: unknown): Promise<void>;
  end(): void;
}

/** Proxies close connections on which nothing passes; most wait a minute. */
const heartbeatMs = 15_000;

export function createEventStream(
  reply: FastifyReply,
  clock: Pick<Clock, 'sleep'>,
  gone: AbortSignal,
): EventStream {
  const { raw } = reply;
  const ended = new AbortController();
  let isOpen = false;

  const write = async (text: string): Promise<void> => {
    gone.throwIfAborted();
    if (!raw.write(text)) await once(raw, 'drain', { signal: gone });
  };
  const keepAlive = async (): Promise<void> => {
    const signal = AbortSignal.any([ended.signal, gone]);
    for (;;) {
      await clock.sleep(heartbeatMs, signal);
      // Nobody waits for a heartbeat, and a reader that is behind needs none.
      if (!raw.writableNeedDrain) raw.write(': still at it\n\n');
    }
  };

  return {
    get isOpen() {
      return isOpen;
    },
    open() {
      if (isOpen) return;
      isOpen = true;
      reply.hijack();
      raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        // nginx would otherwise hold events back until its buffer is full.
        'x-accel-buffering': 'no',
      });
      raw.flushHeaders();
      keepAlive().catch(() => {});
    },
    send: (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    end() {
      ended.abort();
      raw.end();
    },
  };
}
