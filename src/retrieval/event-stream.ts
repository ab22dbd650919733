import { once } from 'node:events';
import type { FastifyReply } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';

/** Server-sent events to one caller. */
export interface EventStream {
  /** Whether the status line is sent. Until then an error can still be an ordinary reply. */
  readonly isOpen: boolean;
  /** Resolves when the caller's connection has taken the event, so that a slow reader slows the writer. */
  send(event: string, data: unknown): Promise<void>;
  /** Sends nothing more; an answer that never began is left to others. */
  end(): void;
}

/** Proxies close connections on which nothing passes; most wait a minute. */
const heartbeatMs = 15_000;

/** Opens with the first event, or with the first heartbeat when that takes longer. */
export function createEventStream(
  reply: FastifyReply,
  clock: Pick<Clock, 'sleep'>,
  gone: AbortSignal,
): EventStream {
  const { raw } = reply;
  const ended = new AbortController();
  let isOpen = false;

  const open = (): void => {
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
  };
  const keepAlive = async (): Promise<void> => {
    const over = AbortSignal.any([ended.signal, gone]);
    for (;;) {
      await clock.sleep(heartbeatMs, over);
      open();
      // A reader that is behind needs no sign of life, and nothing waits in memory for it.
      if (!raw.writableNeedDrain) raw.write(': still at it\n\n');
    }
  };
  keepAlive().catch(() => {});

  return {
    get isOpen() {
      return isOpen;
    },
    async send(event, data) {
      gone.throwIfAborted();
      open();
      const taken = raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!taken) await once(raw, 'drain', { signal: gone });
    },
    end() {
      ended.abort();
      if (isOpen) raw.end();
    },
  };
}
