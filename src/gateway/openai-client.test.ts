import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { gathered, hello, modelPathSuite, onlyRow, post } from '../../test/harness/model-path-suite.ts';

const { start, upstream, providerUrl, lastCall } = modelPathSuite();
const clientOf = (path: ModelPath) =>
  new OpenAI({ apiKey: 'gh_test', baseURL: `${path.url}/v1`, maxRetries: 0 });

describe('the official OpenAI client', () => {
  it('chats, and the ledger row equals the provider’s usage', async () => {
    const path = await start();
    const { data, response } = await clientOf(path).chat.completions.create(hello).withResponse();
    expect(data.choices[0]?.message.content).toContain('Hello there');
    expect(response.headers.get('x-gatehouse-generated-by')).toBe(
      'tier=primary; provider=sim; model=gpt-4o-mini',
    );
    expect(await onlyRow(path)).toMatchObject({
      status: 'ok',
      raw_usage: lastCall()?.usage,
      estimated: false,
      route: 'fast',
      provider: 'sim',
      model: 'gpt-4o-mini',
      tier: 'primary',
      attempts: 1,
      pricing_state: 'priced',
      cost_nano_usd: String(
        (data.usage?.prompt_tokens ?? 0) * 150 + (data.usage?.completion_tokens ?? 0) * 600,
      ),
    });
  });

  it('streams, without the usage event that it did not ask for', async () => {
    const path = await start();
    const create = clientOf(path).chat.completions.create({ ...hello, stream: true });
    const { data: stream, response } = await create.withResponse();
    expect(response.headers.get('x-gatehouse-generated-by')).toBe(
      'tier=primary; provider=sim; model=gpt-4o-mini',
    );
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(response.headers.get('x-correlation-id')).toBe(lastCall()?.headers['x-correlation-id']);
    const chunks = await gathered(stream);
    expect(chunks.every((chunk) => chunk.choices.length === 1)).toBe(true);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toContain('Hello there');
    const row = await onlyRow(path);
    expect(row).toMatchObject({
      status: 'ok',
      streamed: true,
      raw_usage: lastCall()?.usage,
      estimated: false,
    });
    expect(row?.first_token_ms).toBeTypeOf('number');
  });

  it('streams with the usage that it asked for', async () => {
    const path = await start();
    const asked = { ...hello, stream: true as const, stream_options: { include_usage: true } };
    const chunks = await gathered(await clientOf(path).chat.completions.create(asked));
    expect(chunks.at(-1)?.usage).toEqual(lastCall()?.usage);
  });

  it('calls tools, in one piece and streamed', async () => {
    const path = await start();
    const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    const asked = {
      ...hello,
      tools: [{ type: 'function' as const, function: { name: 'weather', parameters } }],
      tool_choice: 'required' as const,
    };
    const client = clientOf(path);
    const whole = await client.chat.completions.create(asked);
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    const streamed = await client.chat.completions.stream({ ...asked, stream: true }).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: 'weather' } });
  });

  it('embeds and lists models', async () => {
    const path = await start();
    const client = clientOf(path);
    const { data } = await client.embeddings.create({
      model: 'sim/text-embedding-3-small',
      input: ['a', 'b'],
    });
    expect(data.map((item) => item.embedding.length)).toEqual([1536, 1536]);
    expect(await onlyRow(path)).toMatchObject({
      operation: 'embeddings',
      route: null,
      raw_usage: lastCall()?.usage,
    });
    const models = await client.models.list();
    expect(models.data).toMatchObject([{ id: 'fast', object: 'model', owned_by: 'tenant' }]);
    expect(await client.models.retrieve('fast')).toMatchObject({ id: 'fast' });
  });

  it('understands our errors', async () => {
    const path = await start({ providers: { sim: providerUrl(), other: providerUrl() } });
    const client = clientOf(path);
    await expect(client.chat.completions.create({ ...hello, model: 'nope' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      message: expect.stringContaining('Available: fast, other/<model>, sim/<model>'),
    });
    expect(await path.ledger()).toEqual([]);
  });
});

describe('what passes through', () => {
  it('is the provider’s bytes, and of its headers only what concerns the caller', async () => {
    const odd =
      '{ "id":"x",\n "usage" : {"prompt_tokens":1,"completion_tokens":2,\n"future":1.50}, "choices":[] }';
    const raw = await upstream((response) => {
      response.writeHead(200, {
        'content-type': 'application/json; charset=utf-8',
        'x-request-id': 'req-1',
        'set-cookie': 'a=b',
        'x-ratelimit-remaining-requests': '5',
      });
      response.end(odd);
    });
    const path = await start({ providers: { sim: raw.url } });
    const response = await post(path, hello);
    expect(await response.text()).toBe(odd);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(response.headers.get('x-request-id')).toBe('req-1');
    expect(response.headers.get('set-cookie')).toBeNull();
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBeNull();
    expect((await onlyRow(path))?.raw_usage).toEqual({ prompt_tokens: 1, completion_tokens: 2, future: 1.5 });
  });

  it('is the caller’s bytes but for the model name, with the ids that follow a request', async () => {
    const path = await start();
    const body = '{"model":"fast", "messages":[{"role":"user","content":"h\\u00e9"}],  "future_field":1.0}';
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const response = await post(path, body, {
      'x-correlation-id': 'order-4711-abc',
      traceparent,
      cookie: 'secret=1',
    });
    expect(response.headers.get('x-correlation-id')).toBe('order-4711-abc');
    const call = lastCall();
    expect(call?.requestBody).toBe(body.replace('"fast"', '"gpt-4o-mini"'));
    expect(call?.headers).toMatchObject({ 'x-correlation-id': 'order-4711-abc', traceparent });
    expect(call?.headers.cookie).toBeUndefined();
    expect((await onlyRow(path))?.correlation_id).toBe('order-4711-abc');
  });

  it('is a provider’s refusal of the request, with its status and words', async () => {
    const path = await start();
    const response = await post(path, { ...hello, messages: [] });
    expect(lastCall()?.status).toBe(400);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { type: 'invalid_request_error', param: 'messages' },
    });
    expect(await onlyRow(path)).toMatchObject({
      status: 'error',
      error_code: 'upstream_400',
      input_tokens: 0,
      cost_nano_usd: '0',
    });
  });

  it('is not our own credential’s refusal, which the caller cannot mend', async () => {
    const raw = await upstream((response) => {
      response.writeHead(401, { 'content-type': 'application/json', 'www-authenticate': 'Bearer' });
      response.end('{"error":{"message":"Incorrect API key provided: sk-test"}}');
    });
    const path = await start({ providers: { sim: raw.url } });
    const response = await post(path, hello);
    expect(response.status).toBe(502);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'upstream_rejected' } });
    expect(text).not.toContain('sk-test');
  });

  it.each([
    ['a refusal', 400, 'application/json', '{"error":{"message":"Bad key KEY"}}'],
    ['a stream before its answer', 200, 'text/event-stream', 'data: {"error":{"message":"Bad key KEY"}}\n\n'],
    [
      'a stream in the middle of it',
      200,
      'text/event-stream',
      'data: {"choices":[{"delta":{"content":"Well"}}]}\n\ndata: {"error":{"message":"Bad key KEY"}}\n\n',
    ],
  ])('is without our key where the provider repeats it, in %s', async (_where, status, type, reply) => {
    const raw = await upstream((response, request) => {
      const key = String(request.headers.authorization).slice('Bearer '.length);
      response.writeHead(status, { 'content-type': type }).end(reply.replace('KEY', key));
    });
    const path = await start({ providers: { sim: raw.url } });
    const text = await (await post(path, { ...hello, stream: status === 200 })).text();
    expect(text).toContain('Bad key [key removed]');
    expect(text).not.toContain('sk-test-upstream');
  });

  it('is never a page that some server on the way made up', async () => {
    const page = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<script>alert(1)</script>');
    });
    const refusal = await upstream((response) => {
      response.writeHead(400, { 'content-type': 'text/html' });
      response.end('<script>alert(1)</script>');
    });
    const path = await start({ providers: { page: page.url, refusal: refusal.url } });
    const first = await post(path, { ...hello, model: 'page/m' });
    expect(first.status).toBe(502);
    expect(await first.json()).toMatchObject({ error: { code: 'upstream_failed' } });
    const second = await post(path, { ...hello, model: 'refusal/m' });
    expect(second.status).toBe(400);
    expect(second.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });
});
