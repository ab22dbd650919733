import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { gathered, modelPathSuite, onlyRow } from '../../test/harness/model-path-suite.ts';
import { onePixel, weatherSchema } from '../../tools/simulator/testing.ts';
import { createAnswerStore, createModelAnswers } from '../cache/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createMetrics } from '../platform/metrics.ts';
import type { ProviderKind } from '../routing/index.ts';

const { start, upstream, providerUrl, lastCall, simulator } = modelPathSuite();
const clientOf = (path: ModelPath, maxRetries = 0) =>
  new Anthropic({ apiKey: 'gh_test', baseURL: path.url, maxRetries });

const hello = {
  model: 'fast',
  max_tokens: 4_096,
  messages: [{ role: 'user' as const, content: 'Hello there' }],
};
const weather: Anthropic.Tool = {
  name: 'get_weather',
  description: 'How the weather is',
  input_schema: weatherSchema,
};

/** Providers to which the route `fast` leads, by their kind: below the simulator's address, and a model of theirs. */
const kinds: Record<string, { path: string; model: string }> = {
  anthropic: { path: '/v1', model: 'claude-sonnet-4-5' },
  openai: { path: '/v1', model: 'gpt-4o-mini' },
  'openai-compatible': { path: '/v1', model: 'gpt-4o-mini' },
  ollama: { path: '/v1', model: 'llama3.3' },
  azure: { path: '/openai/v1', model: 'gpt-4o-mini' },
  gemini: { path: '/v1beta', model: 'gemini-2.5-flash' },
  bedrock: { path: '', model: 'anthropic.claude-sonnet-4-5-20250929-v1:0' },
};
const startOn = (kind: string, options: Parameters<typeof start>[0] = {}) => {
  const { path, model } = kinds[kind] ?? { path: '', model: '' };
  const baseUrl = providerUrl().replace(/\/v1$/, path);
  return start({
    providers: { [kind]: { baseUrl, kind: kind as ProviderKind } },
    routes: { fast: [[{ provider: kind, model }]] },
    ...options,
  });
};

describe.each(Object.keys(kinds))(
  'the official Anthropic client, answered by a provider of kind %s',
  (kind) => {
    it('gets a message', async () => {
      const path = await startOn(kind);
      const { data, response } = await clientOf(path).messages.create(hello).withResponse();
      expect(data).toMatchObject({
        type: 'message',
        role: 'assistant',
        id: expect.stringMatching(/^msg_/),
        stop_reason: 'end_turn',
        stop_sequence: null,
        content: [{ type: 'text', text: expect.stringContaining('Hello there') }],
      });
      expect(response.headers.get('request-id')).toBeTruthy();
      expect(response.headers.get('x-gatehouse-generated-by')).toContain(`provider=${kind}`);
      const { input_tokens, output_tokens } = data.usage;
      expect(await onlyRow(path)).toMatchObject({
        ...{ status: 'ok', dialect: 'anthropic-messages', estimated: false },
        ...{ input_tokens, output_tokens, raw_usage: lastCall()?.usage },
      });
    });

    it('makes of a stream what it would have got in one piece', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const whole = await client.messages.create(hello);
      const pieces: string[] = [];
      const streamed = await client.messages
        .stream(hello)
        .on('text', (piece) => pieces.push(piece))
        .finalMessage();
      expect(streamed.content).toMatchObject(whole.content);
      expect(pieces.length).toBeGreaterThan(1);
      expect(streamed.stop_reason).toBe('end_turn');
      const { input_tokens, output_tokens } = whole.usage;
      expect(streamed.usage).toMatchObject({ input_tokens, output_tokens });
      const [, row] = await path.ledger();
      expect(row).toMatchObject({ streamed: true, estimated: false, input_tokens, output_tokens });
      expect(row?.first_token_ms).toBeTypeOf('number');
    });

    it('sees the events of the API in their order', async () => {
      const path = await startOn(kind);
      const events = await gathered(await clientOf(path).messages.create({ ...hello, stream: true }));
      const types = events.map(({ type }) => type).filter((type, n, all) => type !== all[n - 1]);
      expect(types).toEqual([
        'message_start',
        'content_block_start',
        'content_block_delta',
        'content_block_stop',
        'message_delta',
        'message_stop',
      ]);
    });

    it('calls tools in two rounds, in one piece and streamed', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const question = { role: 'user' as const, content: 'What is the weather in Lisbon?' };
      const request = { ...hello, messages: [question], tools: [weather] };
      for (const called of [
        await client.messages.create(request),
        await client.messages.stream(request).finalMessage(),
      ]) {
        expect(called.stop_reason).toBe('tool_use');
        const use = called.content.find((block) => block.type === 'tool_use');
        expect(use).toMatchObject({ name: 'get_weather', input: { city: 'Lisbon' } });
        const result = {
          type: 'tool_result' as const,
          tool_use_id: use?.id ?? '',
          content: [{ type: 'text' as const, text: '21 degrees and sunny' }],
        };
        const answered = await client.messages.create({
          ...request,
          messages: [
            question,
            { role: 'assistant', content: called.content as Anthropic.ContentBlockParam[] },
            { role: 'user', content: [result] },
          ],
        });
        expect(answered.stop_reason).toBe('end_turn');
        expect(answered.content.at(-1)).toMatchObject({
          text: expect.stringContaining('21 degrees and sunny'),
        });
      }
    });

    it('has a tool called that it names', async () => {
      const path = await startOn(kind);
      const named = await clientOf(path).messages.create({
        ...hello,
        tools: [weather, { ...weather, name: 'other' }],
        tool_choice: { type: 'tool', name: 'other' },
      });
      expect(named.content.at(-1)).toMatchObject({ type: 'tool_use', name: 'other' });
    });

    it('shows pictures', async () => {
      const path = await startOn(kind);
      const source = { type: 'base64' as const, media_type: 'image/png' as const, data: onePixel };
      const content = [
        { type: 'image' as const, source },
        { type: 'text' as const, text: 'What is this?' },
      ];
      const seen = await clientOf(path).messages.create({ ...hello, messages: [{ role: 'user', content }] });
      expect(seen.content).toMatchObject([{ type: 'text' }]);
      expect(lastCall()?.images).toBe(1);
      expect(lastCall()?.requestBody).toContain(onePixel);
    });

    it('gets JSON that fits a schema', async () => {
      const path = await startOn(kind);
      const json = await clientOf(path).messages.create({
        ...hello,
        output_config: { format: { type: 'json_schema', schema: weatherSchema } },
      });
      const [said] = json.content;
      expect(JSON.parse(said?.type === 'text' ? said.text : '')).toEqual({
        city: expect.any(String),
        days: expect.any(Number),
      });
    });

    it('is told that an answer was cut short', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      const cut = { stop_reason: 'max_tokens', usage: { output_tokens: 5 } };
      expect(await client.messages.create({ ...hello, max_tokens: 5 })).toMatchObject(cut);
      expect(await client.messages.stream({ ...hello, max_tokens: 5 }).finalMessage()).toMatchObject(cut);
    });

    it('counts tokens before it asks', async () => {
      const path = await startOn(kind);
      const { max_tokens: _, ...counted } = hello;
      const { input_tokens: tokens } = await clientOf(path).messages.countTokens({
        ...counted,
        tools: [weather],
      });
      expect(tokens).toBeGreaterThan(20);
      expect(await onlyRow(path)).toMatchObject({
        ...{ status: 'ok', operation: 'count_tokens', dialect: 'anthropic-count-tokens', estimated: false },
        ...{ input_tokens: 0, output_tokens: 0, pricing_state: 'free', cost_nano_usd: '0' },
      });
    });

    it('knows refusals by their classes', async () => {
      const path = await startOn(kind);
      const client = clientOf(path);
      simulator.setFault({ kind: 'rate-limited', retryAfterS: 120 });
      const limited = await client.messages.create(hello).catch((error: unknown) => error);
      expect(limited).toBeInstanceOf(Anthropic.RateLimitError);
      expect(limited).toMatchObject({ type: 'rate_limit_error' });
      // Gemini says it in the body.
      const { headers } = limited as InstanceType<typeof Anthropic.RateLimitError>;
      if (kind !== 'gemini') expect(headers?.get('retry-after')).toBe('120');
    });

    it('is told of an error in the middle of a stream', async () => {
      const path = await startOn(kind);
      simulator.setFault({ kind: 'cut-mid-stream' });
      const stream = clientOf(path).messages.stream(hello);
      const error = await stream.finalMessage().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Anthropic.APIError);
      expect(error).toMatchObject({ type: 'api_error', message: expect.stringContaining(kind) });
      const [row] = await path.ledger();
      expect(row).toMatchObject({ status: 'error', error_code: 'upstream_failed', estimated: true });
      expect(Number(row?.output_tokens)).toBeGreaterThan(0);
    });
  },
);

describe.each(['bedrock', 'gemini'])('what a model of kind %s thought', (kind) => {
  it('is shown in Anthropic’s blocks, and goes back to it in the second round', async () => {
    const path = await startOn(kind);
    const client = clientOf(path);
    const question = { role: 'user' as const, content: 'What is the weather in Lisbon?' };
    const request = {
      ...hello,
      messages: [question],
      tools: [weather],
      thinking: { type: 'enabled' as const, budget_tokens: 2_048 },
    };
    for (const first of [
      await client.messages.create(request),
      await client.messages.stream(request).finalMessage(),
    ]) {
      const thought = first.content.find((block) => block.type === 'thinking');
      expect(thought?.thinking).toBeTruthy();
      const use = first.content.find((block) => block.type === 'tool_use');
      const result = { type: 'tool_result' as const, tool_use_id: use?.id ?? '', content: 'Sun.' };
      await client.messages.create({
        ...request,
        messages: [
          question,
          { role: 'assistant', content: first.content as Anthropic.ContentBlockParam[] },
          { role: 'user', content: [result] },
        ],
      });
      // Bedrock signs the thoughts, Gemini the call.
      const signatures = first.content
        .map((block) => (block.type === 'thinking' ? block.signature : 'data' in block ? block.data : ''))
        .map((carried) => carried.replace(/^gatehouse\.(?:unsigned|.*\.)/, ''))
        .filter((signature) => signature !== '');
      expect(signatures).toHaveLength(1);
      expect(lastCall()?.requestBody).toContain(signatures[0]);
      expect(lastCall()?.requestBody).not.toContain('gatehouse.');
    }
  });
});

describe('what passes through to Anthropic', () => {
  it('is the caller’s bytes but for the model name, with the version and the features asked for', async () => {
    const path = await startOn('anthropic');
    const body =
      '{"model":"fast", "max_tokens":10,"messages":[{"role":"user","content":"h\\u00e9"}],  "future_field":1.0}';
    const response = await fetch(`${path.url}/v1/messages?beta=true`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-api-key': 'gh_test',
        'anthropic-version': '2023-06-01',
        'anthropic-beta': 'context-1m-2025-08-07,other-2026-01-01',
        cookie: 'secret=1',
        'x-stainless-lang': 'js',
      },
      body,
    });
    expect(response.status).toBe(200);
    const call = lastCall();
    expect(call?.requestBody).toBe(body.replace('"fast"', '"claude-sonnet-4-5"'));
    expect(call?.headers).toMatchObject({
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'context-1m-2025-08-07,other-2026-01-01',
    });
    expect(call?.keySuffix).toBe('sk-test-upstream'.slice(-4));
    expect(call?.headers.cookie).toBeUndefined();
    expect(call?.headers['x-stainless-lang']).toBeUndefined();
    expect(response.headers.get('request-id')).toMatch(/^req_/);
    expect(response.headers.get('anthropic-ratelimit-input-tokens-limit')).toBeNull();
  });

  it('has its tokens counted by class, cache writes by their lifetime', async () => {
    const path = await startOn('anthropic');
    const client = clientOf(path);
    const long = 'The rules of the house are many. '.repeat(40);
    const system: Anthropic.TextBlockParam[] = [
      { type: 'text', text: long, cache_control: { type: 'ephemeral', ttl: '1h' } },
      { type: 'text', text: `${long} And more.`, cache_control: { type: 'ephemeral' } },
    ];
    const first = (await client.messages.create({ ...hello, system })).usage;
    await client.messages.stream({ ...hello, system }).finalMessage();
    const [written, read] = await path.ledger();
    const inHour = first.cache_creation?.ephemeral_1h_input_tokens ?? 0;
    const inMinutes = first.cache_creation?.ephemeral_5m_input_tokens ?? 0;
    expect(inHour * inMinutes).toBeGreaterThan(0);
    expect(written).toMatchObject({
      input_tokens: first.input_tokens + inHour + inMinutes,
      ...{ cache_write_1h_tokens: inHour, cache_write_5m_tokens: inMinutes, cached_read_tokens: 0 },
    });
    expect(read).toMatchObject({
      ...{ cache_write_1h_tokens: 0, cache_write_5m_tokens: 0, cached_read_tokens: inHour + inMinutes },
      ...{ estimated: false, pricing_state: 'priced' },
    });
  });

  it('thinks, and what it thought goes back with its signature', async () => {
    const path = await startOn('anthropic');
    const client = clientOf(path);
    const asked = { ...hello, thinking: { type: 'enabled' as const, budget_tokens: 1_024 } };
    const whole = await client.messages.stream(asked).finalMessage();
    expect(whole.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
    const again = { role: 'user' as const, content: 'And then?' };
    const told = { role: 'assistant' as const, content: whole.content as Anthropic.ContentBlockParam[] };
    await client.messages.create({ ...asked, messages: [...hello.messages, told, again] });
    const [row] = await path.ledger();
    expect(row?.reasoning_tokens).toBe(whole.usage.output_tokens_details?.thinking_tokens);
  });

  it('is not shown what a model of another provider thought', async () => {
    const path = await startOn('anthropic');
    const marked = {
      type: 'thinking' as const,
      thinking: 'Hm.',
      signature: 'gatehouse.google-gemini-v1.c2ln',
    };
    await clientOf(path).messages.create({
      ...hello,
      messages: [
        ...hello.messages,
        { role: 'assistant', content: [marked, { type: 'text', text: 'Good morning.' }] },
        { role: 'user', content: 'And then?' },
      ],
    });
    const { model, messages } = JSON.parse(lastCall()?.requestBody ?? '{}');
    expect(model).toBe('claude-sonnet-4-5');
    expect(messages[1].content).toEqual([{ type: 'text', text: 'Good morning.' }]);
  });

  it('is given an end where the provider forgot the last empty line', async () => {
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_1' });
      response.end(
        [
          'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}',
          'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
          'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}',
          'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
          'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}',
          'event: message_stop\ndata: {"type":"message_stop"}',
        ].join('\n\n'),
      );
    });
    const path = await startOn('anthropic', {
      providers: { anthropic: { baseUrl: raw.url, kind: 'anthropic' } },
    });
    const { data, response } = await clientOf(path)
      .messages.create({ ...hello, stream: true })
      .withResponse();
    expect((await gathered(data)).at(-1)).toEqual({ type: 'message_stop' });
    expect(response.headers.get('request-id')).toBe('req_1');
    expect(await onlyRow(path)).toMatchObject({ status: 'ok', input_tokens: 1, output_tokens: 2 });
  });

  it('is given again from the cache, a stream as a stream, for the same features only', async () => {
    const clock = systemClock;
    const store = createAnswerStore({ clock, random: { fraction: () => 0 }, metrics: createMetrics() });
    const path = await startOn('anthropic', { hooks: { cache: createModelAnswers({ store, clock }) } });
    const client = clientOf(path);
    const ask = (headers = {}) =>
      client.messages.stream(hello, { headers: { 'x-gatehouse-cache': 'exact', ...headers } }).finalMessage();
    const first = await ask();
    expect((await ask()).content).toEqual(first.content);
    expect(simulator.totals().calls).toBe(1);
    await ask({ 'anthropic-beta': 'interleaved-thinking-2025-05-14' });
    expect(simulator.totals().calls).toBe(2);
  });

  it('takes over unnoticed while nothing of an answer was sent', async () => {
    const overloaded = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n');
      response.write('event: ping\ndata: {"type":"ping"}\n\n');
      response.end(
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
      );
    });
    const path = await start({
      providers: {
        busy: { baseUrl: overloaded.url, kind: 'anthropic' },
        claude: { baseUrl: providerUrl(), kind: 'anthropic' },
      },
      routes: {
        fast: [
          [{ provider: 'busy', model: 'claude-opus-4-1' }],
          [{ provider: 'claude', model: 'claude-haiku-4-5' }],
        ],
      },
    });
    const { data: events, response } = await clientOf(path)
      .messages.create({ ...hello, stream: true })
      .withResponse();
    expect(response.headers.get('x-gatehouse-generated-by')).toContain('provider=claude');
    const types = (await gathered(events)).map(({ type }) => type);
    expect(types.filter((type) => type === 'message_start')).toHaveLength(1);
    expect(types.at(-1)).toBe('message_stop');
  });
});

describe('errors of ours, in the shape of Anthropic’s API', () => {
  it('are known by the official client', async () => {
    const path = await startOn('openai');
    const client = clientOf(path);
    const unknown = await client.messages
      .create({ ...hello, model: 'nope' })
      .catch((error: unknown) => error);
    expect(unknown).toBeInstanceOf(Anthropic.NotFoundError);
    expect(unknown).toMatchObject({
      type: 'not_found_error',
      errorCode: 'model_not_found',
      message: expect.stringContaining('Available: fast, openai/<model>'),
      requestID: expect.stringMatching(/.+/),
    });
    expect(await path.ledger()).toEqual([]);
  });

  it('name every field that cannot be carried, and nothing is sent', async () => {
    const path = await startOn('openai');
    const asked = {
      ...hello,
      container: 'container_1',
      service_tier: 'standard_only' as const,
      metadata: { user_id: 'u1' },
      inference_geo: 'eu',
      tools: [weather, { type: 'web_search_20250305' as const, name: 'web_search' as const }],
      messages: [
        {
          role: 'user' as const,
          content: [
            {
              type: 'document' as const,
              source: { type: 'text' as const, media_type: 'text/plain' as const, data: 'x' },
              citations: { enabled: true },
            },
          ],
        },
      ],
    };
    const refused = await clientOf(path)
      .messages.create(asked)
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Anthropic.UnprocessableEntityError);
    const { details } = refused as { details?: { errors?: { path: string }[] } };
    expect(details?.errors?.map(({ path: field }) => field).sort()).toEqual([
      'container',
      'inference_geo',
      'messages.0.content.0.citations.enabled',
      'tools.1.type',
    ]);
    expect(simulator.totals().calls).toBe(0);
  });

  it('have one shape whatever is wrong with the request', async () => {
    const path = await startOn('anthropic');
    const headers = { 'content-type': 'application/json' };
    const cases: [string, RequestInit, number, string][] = [
      ['/v1/messages', { method: 'POST', headers, body: '{"model":' }, 400, 'invalid_request_error'],
      ['/v1/messages', { method: 'POST', headers, body: '{"model":"fast"}' }, 400, 'invalid_request_error'],
      ['/v1/messages', { method: 'POST', body: 'hello' }, 415, 'invalid_request_error'],
      ['/v1/messages', { method: 'GET' }, 404, 'not_found_error'],
      ['/v1/messages/batches', { method: 'POST', headers, body: '{}' }, 404, 'not_found_error'],
      [
        '/v1/messages/count_tokens',
        { method: 'POST', headers, body: Buffer.alloc(21 * 1024 * 1024, ' ') },
        413,
        'request_too_large',
      ],
    ];
    for (const [url, init, status, type] of cases) {
      const response = await fetch(path.url + url, init);
      const body = await response.json();
      expect({ url, status: response.status, body }).toMatchObject({
        url,
        status,
        body: { type: 'error', error: { type, message: expect.any(String) } },
      });
      expect(response.headers.get('request-id')).toBe((body as { request_id: string }).request_id);
    }
  });

  it('are tried again by the client, as Anthropic’s own are', async () => {
    const path = await startOn('anthropic');
    simulator.setFault({ kind: 'server-error', times: 1 });
    const answered = await clientOf(path, 1).messages.create(hello);
    expect(answered.stop_reason).toBe('end_turn');
  });
});

describe('the list of models', () => {
  it('is in the form of the client that asks', async () => {
    const routes = Object.fromEntries(
      ['a', 'b', 'c'].map((name) => [name, [[{ provider: 'sim', model: 'gpt-4o-mini' }]]]),
    );
    const path = await start({ routes });
    const client = clientOf(path);
    const pages = await gathered(client.models.list({ limit: 2 }));
    expect(pages).toMatchObject([
      { type: 'model', id: 'c', display_name: 'c', created_at: '2026-01-01T00:00:00.002Z' },
      { type: 'model', id: 'b' },
      { type: 'model', id: 'a' },
    ]);
    const back = await client.models.list({ before_id: 'a', limit: 1 });
    expect(back).toMatchObject({ data: [{ id: 'b' }], has_more: true });
    expect(await client.models.retrieve('b')).toMatchObject({ type: 'model', id: 'b' });
    await expect(client.models.retrieve('z')).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    const plain = await fetch(`${path.url}/v1/models`);
    expect(await plain.json()).toMatchObject({
      object: 'list',
      data: [{ id: 'c', object: 'model' }, {}, {}],
    });
  });
});
