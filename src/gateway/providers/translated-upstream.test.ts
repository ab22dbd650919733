import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ScriptedProvider,
  type ScriptedReply,
  startScriptedProvider,
} from '../../../test/harness/scripted-provider.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Provider } from '../../routing/index.ts';
import { openAiChat } from '../dialects/openai-chat.ts';
import type { ModelCall } from '../model-call.ts';
import { anthropicReply, anthropicStream } from '../translation/replies.fixture.ts';
import type { UpstreamExchange, UpstreamFailure } from '../upstream.ts';
import { createUpstream } from './upstream.ts';

let server: ScriptedProvider;
const upstream = createUpstream({ connectMs: 1_000, firstByteMs: 300, idleMs: 1_000 }, systemClock);
const exchanges: UpstreamExchange[] = [];

beforeAll(async () => {
  server = await startScriptedProvider();
});
afterEach(() => {
  for (const exchange of exchanges.splice(0)) exchange.abort();
});
afterAll(async () => {
  await upstream.stop();
  await server.stop();
});

interface Told {
  status?: number;
  headers?: Readonly<Record<string, unknown>>;
  text: string;
  failure?: UpstreamFailure;
  ended: boolean;
}

function ask(
  streamed: boolean,
  options: { baseUrl?: string; prompt?: string; onData?: (told: Told) => void } = {},
) {
  const provider = {
    id: 'p',
    name: 'p',
    kind: 'anthropic',
    baseUrl: options.baseUrl ?? `${server.url}/v1`,
    keys: [{ value: 'key-of-test', hint: null, weight: 1 }],
    settings: {},
    localAddressesAllowed: true,
  } as unknown as Provider;
  const target = { tier: 'primary', provider, model: 'claude-sonnet-4-5', weight: 1 };
  const messages = [{ role: 'user', content: options.prompt ?? 'Hello' }];
  const call = {
    id: 'call-1',
    model: 'p/claude-sonnet-4-5',
    streamed,
    caller: { correlationId: 'correlation-1', traceparent: '00-1-2-01' },
    dialect: openAiChat,
    request: { parsed: () => ({ model: 'm', messages }) },
  } as unknown as ModelCall;
  const told: Told = { text: '', ended: false };
  let exchange: UpstreamExchange | undefined;
  const over = new Promise<Told>((resolve) => {
    exchange = upstream.send(
      { call, target, key: provider.keys[0] ?? null },
      {
        head(status, headers) {
          Object.assign(told, { status, headers });
        },
        data(chunk) {
          told.text += chunk.toString();
          options.onData?.(told);
        },
        end() {
          told.ended = true;
          resolve(told);
        },
        failed(failure) {
          told.failure = failure;
          resolve(told);
        },
      },
    );
    exchanges.push(exchange);
  });
  return { over, told, exchange: exchange as UpstreamExchange };
}

const eventStream = { 'content-type': 'text/event-stream' };
const sse = (events: readonly object[]) =>
  events
    .map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('');
const openStream = (response: ServerResponse, events: readonly object[] = []) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(sse(events));
};

describe('a translated exchange', () => {
  it('tells the provider who asks, and what the call is known by', async () => {
    server.answers({ body: anthropicReply, headers: { 'request-id': 'req-1' } });
    const told = await ask(false).over;
    expect(told).toMatchObject({ status: 200, headers: { 'x-request-id': 'req-1' }, ended: true });
    expect(server.requests.at(-1)?.headers).toMatchObject({
      'user-agent': 'gatehouse',
      'x-correlation-id': 'correlation-1',
      traceparent: '00-1-2-01',
      'x-api-key': 'key-of-test',
    });
  });

  it.each<[string, ScriptedReply | ((response: ServerResponse) => void), Partial<UpstreamFailure>]>([
    [
      'a page in place of a reply',
      { body: '<html>', headers: { 'content-type': 'text/html' } },
      { kind: 'malformed' },
    ],
    ['a reply of another API', { body: { choices: [] } }, { kind: 'malformed' }],
    ['a connection that is cut', (response) => response.destroy(), { kind: 'connection' }],
    ['headers that do not come', () => {}, { kind: 'first_byte_timeout' }],
    [
      'half a reply',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{"id":');
        response.destroy();
      },
      { kind: 'connection' },
    ],
    [
      'bytes that unfold beyond the bound',
      { body: gzipSync(Buffer.alloc(80 * 1024 * 1024)), headers: { 'content-encoding': 'gzip' } },
      { kind: 'too_large' },
    ],
    [
      'broken compression',
      { body: 'no gzip', headers: { 'content-encoding': 'gzip' } },
      { kind: 'malformed' },
    ],
    ['unknown compression', { body: 'x', headers: { 'content-encoding': 'lzma' } }, { kind: 'malformed' }],
  ])('fails for what it is: %s', async (_name, reply, failure) => {
    server.answers(reply);
    expect((await ask(false).over).failure).toMatchObject(failure);
    server.answers(reply);
    expect((await ask(true).over).failure).toMatchObject(failure);
  });

  it('fails where nobody listens', async () => {
    expect((await ask(false, { baseUrl: 'http://127.0.0.1:9/v1' }).over).failure?.kind).toBe('connection');
  });

  it.each<[string, boolean, ScriptedReply]>([
    ['a reply that is no JSON', false, { body: '{"said": "a secret answer"' }],
    ['a reply of another form', false, { body: { content: 'a secret answer' } }],
    [
      'an event that is no JSON',
      true,
      {
        body: `${sse(anthropicStream.slice(0, 5))}data: {"said": "a secret answer"\n\n`,
        headers: eventStream,
      },
    ],
    [
      'an event of another form',
      true,
      { body: [...anthropicStream.slice(0, 5), { type: 'a secret answer' }] },
    ],
  ])('leaves what was asked and answered out of what the log is told: %s', async (_name, streamed, reply) => {
    server.answers(reply);
    const { failure } = await ask(streamed, { prompt: 'a secret question' }).over;
    expect(failure).toBeDefined();
    const told = inspect(failure, { depth: 20, showHidden: true, maxStringLength: null });
    expect(told).not.toMatch(/secret/);
    expect(told.length).toBeLessThan(5_000);
  });

  it('reads what came compressed without having been asked for', async () => {
    const body = gzipSync(JSON.stringify(anthropicReply));
    server.answers({ body, headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' } });
    expect((await ask(false).over).text).toContain('Good morning.');
    const stream = gzipSync(sse(anthropicStream));
    server.answers({
      body: stream,
      headers: { 'content-encoding': 'gzip', 'content-type': 'text/event-stream' },
    });
    const told = await ask(true).over;
    expect(told.text).toContain('"content":"morning."');
    expect(told.text.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('follows no redirect', async () => {
    server.answers({ status: 307, headers: { location: `${server.url}/elsewhere` }, body: {} });
    const before = server.requests.length;
    expect(await ask(false).over).toMatchObject({ status: 307, ended: true });
    expect(server.requests.length).toBe(before + 1);
  });

  it('passes a refusal on in the words of the dialect', async () => {
    const error = { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000' };
    server.answers({ status: 400, headers: { 'retry-after': '3' }, body: { type: 'error', error } });
    for (const streamed of [false, true]) {
      const told = await ask(streamed).over;
      expect(told).toMatchObject({ status: 400, headers: { 'retry-after': '3' } });
      expect(JSON.parse(told.text)).toEqual({
        error: {
          message: error.message,
          type: 'invalid_request_error',
          param: null,
          code: 'context_length_exceeded',
        },
      });
    }
  });

  it('takes an error in place of the first event for the refusal that it is', async () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    server.answers((response) => {
      openStream(response, [{ type: 'error', error }]);
      response.end();
    });
    const told = await ask(true).over;
    expect(told.status).toBeGreaterThanOrEqual(500);
    expect(told.text).toContain('Overloaded');
  });

  it('says in the stream what went wrong in it', async () => {
    server.answers((response) => {
      openStream(response, anthropicStream.slice(0, 4));
      response.end(sse([{ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }]));
    });
    const { text } = await ask(true).over;
    expect(text).toContain('"content":"Good "');
    expect(text).toMatch(/data: \{"error":\{"message":"Overloaded"[^\n]*\n\n$/);
  });

  it('says nothing more once it is done, whatever the provider still sends', async () => {
    server.answers({ body: anthropicStream });
    const once = await ask(true).over;
    server.answers({ body: [...anthropicStream, ...anthropicStream.slice(1), { type: 'message_stop' }] });
    const again = await ask(true).over;
    expect(again.text).toBe(once.text);
    expect(again.ended).toBe(true);
  });

  it('is broken when its stream ends before it is done', async () => {
    server.answers((response) => {
      openStream(response, anthropicStream.slice(0, 5));
      response.end();
    });
    const cleanly = await ask(true).over;
    expect(cleanly.text).toContain('morning.');
    expect(cleanly.failure?.kind).toBe('connection');
    server.answers((response) => {
      openStream(response, anthropicStream.slice(0, 5));
      response.socket?.end();
    });
    expect((await ask(true).over).failure).toBeDefined();
  });

  it('reads no event that does not end', async () => {
    server.answers((response) => {
      openStream(response);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
      };
      response.on('drain', more);
      more();
    });
    expect((await ask(true).over).failure?.kind).toBe('too_large');
  });

  it('ends upstream at once when it is aborted, and says nothing more', async () => {
    const closed = new Promise<void>((resolve) => {
      server.answers((response) => {
        openStream(response, anthropicStream.slice(0, 4));
        response.on('close', resolve);
      });
    });
    let begun = () => {};
    const first = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { exchange, told } = ask(true, { onData: () => begun() });
    await first;
    expect(exchange.sent).toBe(true);
    exchange.abort();
    await closed;
    expect(told).toMatchObject({ ended: false });
    expect(told.failure).toBeUndefined();
    // What went in is known from the first event, what came out is not.
    expect(exchange.facts).toMatchObject({
      usage: { inputTokens: 10, outputTokens: 2 },
      outputEstimated: true,
      rawUsage: JSON.stringify({ input_tokens: 10, output_tokens: 1 }),
    });
  });

  it('holds the provider back while it is paused, and loses nothing', async () => {
    const total = 8_000;
    let written = 0;
    const delta = (n: number) =>
      sse([
        {
          type: 'content_block_delta',
          index: 0,
          delta: { type: 'text_delta', text: `<${n}>${'.'.repeat(4_000)}` },
        },
      ]);
    server.answers((response) => {
      openStream(response, anthropicStream.slice(0, 2));
      const more = () => {
        while (written < total && response.write(delta(written++)));
        if (written === total) response.end(sse(anthropicStream.slice(5)));
      };
      response.on('drain', more);
      more();
    });
    let paused: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      paused = resolve;
    });
    let seen = 0;
    const { exchange, over } = ask(true, {
      onData(told) {
        told.text = '';
        if (++seen !== 10) return;
        exchange.pause();
        paused();
      },
    });
    await held;
    const before = await settled(() => written);
    expect(seen).toBe(10);
    expect(before).toBeLessThan(total / 2);
    exchange.resume();
    const told = await over;
    expect(told.ended).toBe(true);
    // The role goes with the first of them, and the finish is one more.
    expect(seen).toBe(total + 2);
  });
});

/** @returns a number once it has not changed for a while. */
async function settled(read: () => number): Promise<number> {
  for (let last = -1; ; ) {
    const now = read();
    if (now === last) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
