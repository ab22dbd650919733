import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { ModelPath } from './harness/model-path.ts';
import { fast, modelPathSuite } from './harness/model-path-suite.ts';

/** What applications, scripts and strangers send to the model endpoints, and what broken providers send back. */

const suite = modelPathSuite();
const { simulator } = suite;
let path: ModelPath | undefined;

const routes = { ...fast, vectors: [[{ provider: 'sim', model: 'text-embedding-3-small' }]] };
const messages = [{ role: 'user', content: 'Hello there' }];

interface Endpoint {
  readonly url: string;
  /** A request that is right. */
  readonly good: Readonly<Record<string, unknown>>;
  /** Fields with values of a wrong type or range, one at a time. */
  readonly wrong: readonly Readonly<Record<string, unknown>>[];
  /** The message in an error of this dialect; undefined when the body is not one. */
  readonly messageOf: (error: any) => string | undefined;
}

const openAiMessage = (error: any): string | undefined =>
  typeof error?.error?.type === 'string' ? error.error.message : undefined;

const endpoints: readonly Endpoint[] = [
  {
    url: '/v1/chat/completions',
    good: { model: 'fast', messages },
    wrong: [{ model: 7 }, { model: '' }, { messages: 'Hello' }, { messages: null }, { stream: 'yes' }],
    messageOf: openAiMessage,
  },
  {
    url: '/v1/responses',
    good: { model: 'fast', input: 'Hello there' },
    wrong: [{ model: 7 }, { model: null }, { input: 7 }, { stream: 'yes' }],
    messageOf: openAiMessage,
  },
  {
    url: '/v1/messages',
    good: { model: 'fast', max_tokens: 50, messages },
    wrong: [{ model: 7 }, { messages: 'Hello' }, { stream: 'yes' }],
    messageOf: (error) => (error?.type === 'error' ? error.error?.message : undefined),
  },
  {
    url: '/v1/embeddings',
    good: { model: 'vectors', input: 'Hello there' },
    wrong: [{ model: 7 }, { input: 7 }, { input: null }],
    messageOf: openAiMessage,
  },
];

const levels = 500_000;
const deep = '['.repeat(levels) + ']'.repeat(levels);

const send = (
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(`${path?.url}${url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...headers },
    body,
  });

/** @returns the message of a refusal in the endpoint's own dialect. */
async function refusal(
  endpoint: Endpoint,
  reply: Response,
  status: number | readonly number[],
): Promise<string> {
  const text = await reply.text();
  expect([status].flat(), `${endpoint.url}: ${text.slice(0, 300)}`).toContain(reply.status);
  expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
  const message = endpoint.messageOf(JSON.parse(text));
  expect(message, text).toBeTypeOf('string');
  return message ?? '';
}

async function serving(): Promise<void> {
  const good = endpoints[0];
  const reply = await send(good?.url ?? '', JSON.stringify(good?.good));
  expect(reply.status).toBe(200);
  await reply.text();
}

/** Nothing is left of what went wrong: no call in flight, and the next one is answered. */
async function nothingLeft(): Promise<void> {
  await serving();
  await expect.poll(inFlight).toBe(0);
}

async function inFlight(): Promise<number> {
  const metric = await path?.metrics.getSingleMetric('gatehouse_model_calls_in_flight')?.get();
  return metric?.values.reduce((total, { value }) => total + value, 0) ?? Number.NaN;
}

afterEach(() => {
  path = undefined;
});

describe.each(endpoints)('$url', (endpoint) => {
  const { url, good } = endpoint;

  it('says what is wrong with a body that is not JSON, not UTF-8, not an object, or compressed', async () => {
    path = await suite.start({ routes });
    expect(await refusal(endpoint, await send(url, '{"model": "fast", '), 400)).toMatch(/not valid JSON/);
    expect(await refusal(endpoint, await send(url, ''), 400)).toMatch(/\S/);
    expect(await refusal(endpoint, await send(url, '[]'), 400)).toMatch(/object/);
    const latin1 = Buffer.from(JSON.stringify({ ...good, user: 'Jos\u00e9' }), 'latin1');
    expect(await refusal(endpoint, await send(url, latin1), 400)).toMatch(/UTF-8/);
    const zipped = gzipSync(JSON.stringify(good));
    const compressed = await send(url, zipped, { 'content-encoding': 'gzip' });
    expect(await refusal(endpoint, compressed, [400, 415])).toMatch(/\S/);
    const form = await send(url, 'model=fast', { 'content-type': 'application/x-www-form-urlencoded' });
    expect(await refusal(endpoint, form, 415)).toMatch(/application\/json/);
    expect(simulator.calls()).toHaveLength(0);
    await nothingLeft();
  });

  it.each(endpoint.wrong)('names the field that has a wrong value: %j', async (wrong) => {
    path = await suite.start({ routes });
    const [field = ''] = Object.keys(wrong);
    const reply = await send(url, JSON.stringify({ ...good, ...wrong }));
    expect(await refusal(endpoint, reply, [400, 422])).toContain(field);
    expect(simulator.calls()).toHaveLength(0);
  });

  it('lists what there is when the model is unknown', async () => {
    path = await suite.start({ routes });
    const message = await refusal(endpoint, await send(url, JSON.stringify({ ...good, model: 'fsat' })), 404);
    expect(message).toContain('fsat');
    expect(message).toContain('fast');
    expect(message).toContain('vectors');
  });

  it('takes 20 MiB and not 21', async () => {
    path = await suite.start({ routes });
    const padded = (bytes: number) => {
      const text = JSON.stringify(good);
      return text + ' '.repeat(bytes - text.length);
    };
    const large = await send(url, padded(20 * 1024 * 1024));
    expect(large.status).toBe(200);
    await large.text();
    const tooLarge = await send(url, padded(21 * 1024 * 1024));
    expect(await refusal(endpoint, tooLarge, 413)).toMatch(/larger/);
    await nothingLeft();
  });

  it('refuses what is nested so deep that parsing it would keep everybody else waiting', async () => {
    path = await suite.start({ routes });
    const body = JSON.stringify(good).replace('{', `{"extra":${deep},`);
    expect(await refusal(endpoint, await send(url, body), 400)).toMatch(/nested deeper than 500/);
    expect(simulator.calls()).toHaveLength(0);
    await nothingLeft();
  });

  it('ends with a client that sends half a body and goes, or asks and closes its half', async () => {
    path = await suite.start({ routes });
    const { port } = new URL(path.url);
    const body = JSON.stringify(good);
    const head =
      `POST ${url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
      `anthropic-version: 2023-06-01\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    const talk = (text: string, ends: boolean): Promise<string> =>
      new Promise((resolve, reject) => {
        let said = '';
        const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }, () => {
          socket.write(text, () => (ends ? socket.end() : socket.destroy()));
        });
        socket.on('data', (part) => {
          said += part;
        });
        socket.on('close', () => resolve(said));
        socket.on('end', () => socket.end());
        socket.on('error', reject);
      });
    await talk(head + body.slice(0, 10), false);
    expect(simulator.calls()).toHaveLength(0);
    // Whoever can no longer be told apart from somebody who left is taken to have left.
    expect(await talk(head + body, true)).not.toMatch(/ 500 /);
    await nothingLeft();
  });

  it.each([
    ['a page of HTML', 'text/html', '<html><body>Welcome to nginx</body></html>'],
    ['a page that calls itself JSON', 'application/json', '<html><body>Welcome to nginx</body></html>'],
    ['nothing', 'application/json', ''],
    ['a JSON text', 'application/json', '"ok"'],
    ['JSON of another API', 'application/json', '{"status":"ok"}'],
    ['lists in lists without end', 'application/json', `{"choices":${deep},"output":${deep},"data":${deep}}`],
    ['bytes that are not UTF-8', 'application/json', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a])],
  ])('says that the provider failed when it sends %s', async (_what, type, content) => {
    const raw = await suite.upstream((response) =>
      response.writeHead(200, { 'content-type': type }).end(content),
    );
    path = await suite.start({ routes, providers: { sim: raw.url } });
    const message = await refusal(endpoint, await send(url, JSON.stringify(good)), 502);
    expect(message).toContain('"sim"');
    expect(message).not.toContain('nginx');
    await expect.poll(inFlight).toBe(0);
  });

  it('does not unpack a bomb that a provider sends', async () => {
    const bomb = gzipSync(Buffer.alloc(400 * 1024 * 1024, 0x20));
    const raw = await suite.upstream((response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb),
    );
    path = await suite.start({ routes, providers: { sim: raw.url } });
    const before = process.memoryUsage().rss;
    const message = await refusal(endpoint, await send(url, JSON.stringify(good)), 502);
    expect(message).toContain('"sim"');
    // The bound on a reply is 64 MiB, 96 for vectors; the bomb is 400.
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
    await expect.poll(inFlight).toBe(0);
  });

  it('ends when the provider closes in the middle of its reply', async () => {
    const raw = await suite.upstream((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"id":"x","cho', () => response.socket?.end());
    });
    path = await suite.start({ routes, providers: { sim: raw.url } });
    expect(await refusal(endpoint, await send(url, JSON.stringify(good)), 502)).toContain('"sim"');
    await expect.poll(inFlight).toBe(0);
  });
});

describe('a conversation of 100,000 messages', () => {
  it.each(endpoints.filter(({ good }) => 'messages' in good))(
    'goes to the provider by $url',
    async (endpoint) => {
      path = await suite.start({ routes });
      const many = Array.from({ length: 100_000 }, (_, n) => ({
        role: n % 2 === 0 ? 'user' : 'assistant',
        content: `Message ${n}`,
      }));
      const reply = await send(
        endpoint.url,
        JSON.stringify({ ...endpoint.good, messages: [...many, ...messages] }),
      );
      const text = await reply.text();
      expect([200, 400, 413, 422], text.slice(0, 200)).toContain(reply.status);
      if (reply.status !== 200) expect(endpoint.messageOf(JSON.parse(text))).toBeTypeOf('string');
      await nothingLeft();
    },
  );
});

describe('a field that nobody knows', () => {
  it('reaches a provider of the same dialect, byte for byte', async () => {
    let received = '';
    const raw = await suite.upstream((response, _request, body) => {
      received = body.toString();
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"enough"}}');
    });
    path = await suite.start({ routes, providers: { sim: raw.url } });
    const rest = '"messages" : [ ], "future_option":{"deep":[1, 2.50,"three \\u00e9"]}}';
    const reply = await send('/v1/chat/completions', `{"model":"fast",${rest}`);
    expect(reply.status).toBe(400);
    expect(received).toBe(`{"model":"gpt-4o-mini",${rest}`);
  });

  it.each(endpoints.filter(({ url }) => url !== '/v1/embeddings'))(
    'is refused by name where $url must be translated',
    async (endpoint) => {
      const sim = { baseUrl: suite.providerUrl().replace(/\/v1$/, '/v1beta'), kind: 'gemini' as const };
      path = await suite.start({ routes, providers: { sim } });
      const reply = await send(endpoint.url, JSON.stringify({ ...endpoint.good, future_option: true }));
      expect(await refusal(endpoint, reply, 422)).toContain('future_option');
      expect(simulator.calls()).toHaveLength(0);
    },
  );
});
