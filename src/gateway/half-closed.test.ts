import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { hello, modelPathSuite, post } from '../../test/harness/model-path-suite.ts';
import { systemClock } from '../platform/clock.ts';

const { simulator, start, providerUrl } = modelPathSuite();
const open: { close(): void }[] = [];
afterEach(() => {
  for (const part of open.splice(0)) part.close();
});

/** A provider made of one raw socket after another. */
async function rawProvider(answer: (socket: Socket) => void): Promise<string> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => answer(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => server.close() });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1`;
}

const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const chunkOf = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const word = 'data: {"choices":[{"index":0,"delta":{"content":"so"}}]}\n\n';

describe('a half-closed socket', () => {
  it('of a client ends its call and the provider’s work, and the row is written', async () => {
    const path = await start();
    simulator.setFault({ kind: 'hang-mid-stream', afterChunks: 2 });
    const body = JSON.stringify({ ...hello, stream: true });
    const { hostname, port } = new URL(path.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    open.push({ close: () => socket.destroy() });
    socket.on('error', () => {});
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    await simulator.waitForCall((call) => call.chunks >= 2);
    socket.end();
    await simulator.waitForCall((call) => call.aborted);
    await expect.poll(async () => (await path.ledger()).length).toBe(1);
    expect((await path.ledger())[0]).toMatchObject({ status: 'aborted', estimated: true });
  });

  it('of a provider, before its answer began, is taken over by another', async () => {
    const bad = await rawProvider((socket) => {
      socket.write(head);
      socket.end();
    });
    const path = await start({
      providers: { bad, sim: providerUrl() },
      routes: { fast: [[{ provider: 'bad', model: 'm' }], [{ provider: 'sim', model: 'gpt-4o-mini' }]] },
    });
    const response = await post(path, { ...hello, stream: true });
    expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/);
  });

  it('of a provider, in the middle of its answer, ends the stream with an error and a row', async () => {
    const bad = await rawProvider((socket) => {
      socket.write(head + chunkOf(word));
      socket.end();
    });
    const path = await start({ providers: { sim: bad } });
    const text = await (await post(path, { ...hello, stream: true })).text();
    expect(text.startsWith(word)).toBe(true);
    expect(text).toContain('upstream_failed');
    expect((await path.ledger())[0]).toMatchObject({ status: 'error', estimated: true, output_tokens: 1 });
  });

  it('of a provider that never sends its end does not hold a stream that is done', async () => {
    const done = `${word}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`;
    let skippedMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs };
    let cut = false;
    const bad = await rawProvider((socket) => {
      socket.write(head + chunkOf(done));
      socket.on('close', () => {
        cut = true;
      });
      socket.on('end', () => socket.end());
    });
    const path = await start({ providers: { sim: bad }, clock });
    const text = await (await post(path, { ...hello, stream: true })).text();
    expect(text).toBe(done);
    expect((await path.ledger())[0]).toMatchObject({ status: 'ok' });
    // Its connection is given up in the end.
    skippedMs = 10_000;
    await expect.poll(() => cut).toBe(true);
  });
});
