import { connect, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { answerWith, type Receiver, startReceiver } from '../../test/harness/receiver.ts';
import { systemClock } from '../platform/clock.ts';
import { createAddressGuard } from './address-guard.ts';
import { createGuardedPost } from './guarded-post.ts';

const stopped: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stopped.splice(0)) await stop();
});

async function receiver(): Promise<Receiver> {
  const started = await startReceiver();
  stopped.push(started.stop);
  return started;
}

const loopback = createAddressGuard(['127.0.0.0/8']);
const post = (
  url: string,
  { guard = loopback, totalMs = 5_000, signal = new AbortController().signal } = {},
) =>
  createGuardedPost({
    guard,
    clock: systemClock,
    timeouts: { connectMs: 2_000, totalMs },
    userAgent: 'Test/1',
  })({ url, headers: { 'x-of-message': 'there' }, body: '{"a":"ä"}' }, signal);

describe('sending', () => {
  it('posts JSON to the very path and tells the status', async () => {
    const { url, messages, answer } = await receiver();
    answer('/in?token=1', answerWith(429, { 'retry-after': '7' }));
    expect(await post(`${url}/in?token=1`)).toEqual({ status: 429, retryAfter: '7' });
    expect(messages).toMatchObject([
      {
        method: 'POST',
        body: '{"a":"ä"}',
        headers: { 'content-type': 'application/json', 'user-agent': 'Test/1', 'x-of-message': 'there' },
      },
    ]);
  });

  it('does not follow redirects', async () => {
    const { url, messages, answer } = await receiver();
    answer('/', answerWith(307, { location: `${url}/elsewhere` }));
    expect(await post(`${url}/`)).toEqual({ status: 307, retryAfter: undefined });
    expect(messages).toHaveLength(1);
  });

  it('gives up on a receiver that says nothing, and on one that is cut short from here', async () => {
    const { url, answer } = await receiver();
    answer('/', () => {});
    expect(await post(`${url}/`, { totalMs: 50 })).toEqual({
      status: null,
      error: 'no answer within 0.05 s',
    });
    const stop = new AbortController();
    const sent = post(`${url}/`, { signal: stop.signal });
    stop.abort();
    expect(await sent).toMatchObject({ status: null, error: expect.stringContaining('stopped') });
  });

  it('takes the status of an answer that never ends or is endless, and lets the rest go', async () => {
    const { url, answer } = await receiver();
    answer('/never-ends', (response) => response.writeHead(200).write('x'));
    answer('/endless', (response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    expect(await post(`${url}/never-ends`, { totalMs: 100 })).toMatchObject({ status: 200 });
    expect(await post(`${url}/endless`)).toMatchObject({ status: 200 });
  });

  it('says in words why nothing came back, and no address', async () => {
    const free = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
      });
    });
    const outcome = await post(`http://127.0.0.1:${free}/`);
    expect(outcome).toEqual({ status: null, error: 'the host refused the connection' });
    const { url, answer } = await receiver();
    answer('/', (response) => response.socket?.destroy());
    expect(await post(`${url}/`)).toEqual({ status: null, error: 'the connection was lost' });
    const unknown = createAddressGuard([], (_name, _options, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []),
    );
    expect(await post('https://nowhere.test/', { guard: unknown })).toEqual({
      status: null,
      error: 'the name of the host is not known',
    });
    const notTls = await post(`${url.replace('http:', 'https:')}/`);
    expect(notTls).toEqual({ status: null, error: 'the exchange failed' });
  });
});

describe('the guard on the way out', () => {
  /** A server that nobody must reach, and how many connections it had. */
  async function forbidden(): Promise<{ port: number; connections(): number }> {
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stopped.push(() => new Promise((resolve) => server.close(() => resolve())));
    const address = server.address();
    return {
      port: typeof address === 'object' && address ? address.port : 0,
      connections: () => connections,
    };
  }

  it('stops what names a private address, by whatever spelling, before anything is opened', async () => {
    const { port, connections } = await forbidden();
    const strict = createAddressGuard([]);
    for (const host of ['127.0.0.1', '127.1', '2130706433', '[::ffff:127.0.0.1]', 'localhost', '0.0.0.0']) {
      for (const scheme of ['http', 'https']) {
        const outcome = await post(`${scheme}://${host}:${port}/`, { guard: strict });
        expect([host, outcome]).toEqual([
          host,
          { status: null, error: expect.stringMatching(/^not sent: the address must/) },
        ]);
      }
    }
    expect(connections()).toBe(0);
    // The server is there all the same.
    await new Promise<void>((resolve) => connect(port, '127.0.0.1').once('close', resolve).resume());
    expect(connections()).toBe(1);
  });

  it('stops a name that leads to a private address when it connects, though it did not before', async () => {
    const { port, connections } = await forbidden();
    const meanings = ['8.8.8.8', '127.0.0.1'];
    const guard = createAddressGuard([], (_name, _options, callback) =>
      callback(null, [{ address: meanings.shift() ?? '', family: 4 }]),
    );
    guard.lookup('rebinding.test', {}, () => {});
    expect(await post(`https://rebinding.test:${port}/`, { guard })).toEqual({
      status: null,
      error: 'not sent: the name of the host leads to a private address',
    });
    expect(connections()).toBe(0);
  });

  it('lets a name through that the operator allows', async () => {
    const { url, messages } = await receiver();
    const guard = createAddressGuard(['hooks.test'], (_name, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]),
    );
    expect(await post(`http://hooks.test:${new URL(url).port}/x`, { guard })).toMatchObject({ status: 200 });
    expect(messages[0]?.headers.host).toBe(`hooks.test:${new URL(url).port}`);
  });
});
