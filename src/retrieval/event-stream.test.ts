import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import type { FastifyReply } from '../platform/api.ts';
import { createEventStream } from './event-stream.ts';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** A clock whose sleepers wake when the test says so. */
function drivenClock() {
  let wake = () => {};
  return {
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        wake = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
    async tick() {
      wake();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** One exchange over a real connection, both ends of it. */
async function exchange(): Promise<{
  reply: FastifyReply;
  raw: ServerResponse;
  received: Promise<IncomingMessage>;
}> {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const request = get(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const received = once(request, 'response').then(([response]) => response as IncomingMessage);
  received.catch(() => {});
  const [, raw] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  const reply = { raw, hijack: () => {}, getHeaders: () => ({ 'x-correlation-id': 'test-0001' }) };
  return { reply: reply as unknown as FastifyReply, raw, received };
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response) text += part;
  return text;
}

it('stays closed until the first event, so that an error before it can be an ordinary reply', async () => {
  const { reply, raw, received } = await exchange();
  const events = createEventStream(reply, drivenClock(), new AbortController().signal);
  expect(events.isOpen).toBe(false);
  await events.send('delta', { text: 'a\nb' });
  await events.send('done', {});
  events.end();
  const response = await received;
  expect(response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-correlation-id': 'test-0001',
  });
  expect(await textOf(response)).toBe('event: delta\ndata: {"text":"a\\nb"}\n\nevent: done\ndata: {}\n\n');
  expect(raw.writableFinished).toBe(true);
});

it('gives a sign of life while an answer takes long, and none after the end', async () => {
  const { reply, received } = await exchange();
  const clock = drivenClock();
  const events = createEventStream(reply, clock, new AbortController().signal);
  await clock.tick();
  expect(events.isOpen).toBe(true);
  await events.send('done', {});
  events.end();
  await clock.tick();
  expect(await textOf(await received)).toBe(': still at it\n\nevent: done\ndata: {}\n\n');
});

it('leaves the reply alone when it ends before it began', async () => {
  const { reply, raw } = await exchange();
  const clock = drivenClock();
  createEventStream(reply, clock, new AbortController().signal).end();
  await clock.tick();
  expect(raw.headersSent).toBe(false);
});

it('waits for a slow reader, and goes on when it has caught up', async () => {
  const { reply, raw, received } = await exchange();
  const events = createEventStream(reply, drivenClock(), new AbortController().signal);
  const large = 'x'.repeat(1024 * 1024);
  let sent = 0;
  const writing = (async () => {
    for (; sent < 50; sent++) await events.send('delta', { text: large });
    events.end();
  })();
  const response = await received;
  response.pause();
  await expect.poll(() => raw.writableNeedDrain).toBe(true);
  expect(sent).toBeLessThan(50);
  const waiting = raw.writableLength;
  expect(waiting).toBeLessThan(3 * large.length);
  response.resume();
  await writing;
  expect(sent).toBe(50);
});

it('gives up when the reader leaves while it is waited for', async () => {
  const { reply, raw, received } = await exchange();
  const gone = new AbortController();
  const events = createEventStream(reply, drivenClock(), gone.signal);
  const writing = (async () => {
    for (;;) await events.send('delta', { text: 'x'.repeat(1024 * 1024) });
  })();
  (await received).pause();
  await expect.poll(() => raw.writableNeedDrain).toBe(true);
  gone.abort(new Error('the caller has left'));
  await expect(writing).rejects.toThrow();
});
