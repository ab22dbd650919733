import type Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { anthropicClientSuite, hello } from '../../test/harness/anthropic-client.ts';
import { gathered, onlyRow } from '../../test/harness/model-path-suite.ts';
import { createAnswerStore, createModelAnswers } from '../cache/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createMetrics } from '../platform/metrics.ts';

const { start, startOn, clientOf, upstream, providerUrl, lastCall, simulator } = anthropicClientSuite();

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
