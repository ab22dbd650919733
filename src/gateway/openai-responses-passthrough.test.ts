import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { modelPathSuite, onlyRow } from '../../test/harness/model-path-suite.ts';

const { start, upstream, providerUrl, simulator } = modelPathSuite();
const clientOf = (path: ModelPath) =>
  new OpenAI({ apiKey: 'gh_test', baseURL: `${path.url}/v1`, maxRetries: 0 });

const hello = { model: 'fast', input: 'Hello there' };

describe('what passes through to a provider that speaks this dialect', () => {
  const event = (type: string, members: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
  // Long instructions, such as agents have, are repeated by the events that open a response.
  const instructions = 'You are an agent. '.repeat(5_000);
  const response = { id: 'resp_1', object: 'response', model: 'gpt-5-2025', output: [], instructions };
  const usage = {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 4 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 17,
    future: 1,
  };
  const item = { id: 'msg_1', type: 'message', role: 'assistant', status: 'in_progress', content: [] };
  const part = { type: 'output_text', text: '', annotations: [] };
  const opening = [
    event('response.created', { sequence_number: 0, response: { ...response, status: 'in_progress' } }),
    event('response.in_progress', { sequence_number: 1, response: { ...response, status: 'in_progress' } }),
    event('response.output_item.added', { sequence_number: 2, output_index: 0, item }),
    event('response.content_part.added', { sequence_number: 3, output_index: 0, content_index: 0, part }),
  ];
  const delta = event('response.output_text.delta', {
    ...{ sequence_number: 4, item_id: 'msg_1', output_index: 0, content_index: 0 },
    ...{ delta: 'Hi', logprobs: [], obfuscation: 'x' },
  });
  const completed = event('response.completed', {
    sequence_number: 5,
    response: { ...response, status: 'completed', usage },
  });

  it('is the stream as it came, and its usage in the ledger', async () => {
    const asked: string[] = [];
    const raw = await upstream((reply, request, body) => {
      asked.push(`${request.url} ${body}`);
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.end([...opening, delta, completed].join(''));
    });
    const path = await start({
      providers: { sim: raw.url },
      routes: { fast: [[{ provider: 'sim', model: 'gpt-5' }]] },
    });
    const body = '{"model":"fast", "input":"h\\u00e9",  "stream":true, "future_field":1.0}';
    const got = await fetch(`${path.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(await got.text()).toBe([...opening, delta, completed].join(''));
    expect(asked).toEqual([`/v1/responses ${body.replace('"fast"', '"gpt-5"')}`]);
    expect(await onlyRow(path)).toMatchObject({
      raw_usage: usage,
      estimated: false,
      input_tokens: 10,
      cached_read_tokens: 4,
      output_tokens: 7,
      reasoning_tokens: 2,
      response_model: 'gpt-5-2025',
    });
  });

  it('goes to another target as long as nothing of the answer has come', async () => {
    const failing = [
      event('error', { sequence_number: 4, code: 'server_error', message: 'Oops', param: null }),
      event('response.failed', { sequence_number: 4, response: { ...response, status: 'failed' } }),
      '',
    ];
    for (const last of failing) {
      const broken = await upstream((reply) => {
        reply.writeHead(200, { 'content-type': 'text/event-stream' });
        reply.end([...opening, last].join(''));
      });
      const whole = await upstream((reply) => {
        reply.writeHead(200, { 'content-type': 'text/event-stream' });
        reply.end([...opening, delta, completed].join(''));
      });
      const path = await start({
        providers: { broken: broken.url, whole: whole.url },
        routes: { fast: [[{ provider: 'broken', model: 'gpt-5' }], [{ provider: 'whole', model: 'gpt-5' }]] },
      });
      const final = await clientOf(path).responses.stream(hello).finalResponse();
      expect(final.status).toBe('completed');
      expect((await path.ledger()).at(-1)).toMatchObject({ status: 'ok', provider: 'whole' });
    }
  });

  it('goes to a provider that has to be translated for, whole and streamed', async () => {
    const path = await start({
      providers: { sim: providerUrl(), claude: { baseUrl: providerUrl(), kind: 'anthropic' } },
      routes: {
        fast: [[{ provider: 'sim', model: 'gpt-4o' }], [{ provider: 'claude', model: 'claude-sonnet-4-5' }]],
      },
    });
    simulator.setFault([
      { kind: 'server-error', wire: 'openai-responses', times: 1 },
      { kind: 'error-event', wire: 'openai-responses', afterChunks: 0 },
    ]);
    const client = clientOf(path);
    const final = await client.responses.stream(hello).finalResponse();
    expect(final.status).toBe('completed');
    expect(final.output_text).toContain('Hello there');
    const whole = await client.responses.create(hello);
    expect(whole.output_text).toBe(final.output_text);
    const answered = (await path.ledger()).filter((row) => row.status === 'ok');
    expect(answered.map((row) => row.provider)).toEqual(['claude', 'claude']);
  });

  it('is asked for once only when the provider may have acted already', async () => {
    const path = await start();
    simulator.setFault({ kind: 'reset-before-headers' });
    const client = clientOf(path);
    const failing = async (tools: OpenAI.Responses.Tool[]) => {
      const before = simulator.totals().calls;
      await expect(client.responses.create({ ...hello, tools })).rejects.toThrow(OpenAI.APIError);
      return simulator.totals().calls - before;
    };
    expect(await failing([{ type: 'web_search' }])).toBe(1);
    const ours = { type: 'function' as const, name: 'weather', parameters: {}, strict: false };
    expect(await failing([ours])).toBeGreaterThan(1);
  });

  it('says so when a stream fails whose beginning was too long to be held back', async () => {
    const instructions = 'Be brief. '.repeat(150_000);
    const created = event('response.created', {
      sequence_number: 0,
      response: { ...response, instructions },
    });
    const said = { sequence_number: 1, code: 'server_error', message: 'Oops', param: null };
    const raw = await upstream((reply) => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.end(created + event('error', said));
    });
    const path = await start({ providers: { sim: raw.url } });
    const asked = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const got = await fetch(`${path.url}/v1/responses`, {
      ...asked,
      body: '{"model":"fast","stream":true,"input":""}',
    });
    expect((await got.text()).slice(created.length)).toBe(event('error', said));
    expect(await onlyRow(path)).toMatchObject({ status: 'error', error_code: 'upstream_failed' });
  });

  it('may hold pictures', async () => {
    const partial_image_b64 = 'A'.repeat(6 * 1024 * 1024);
    const picture = event('response.image_generation_call.partial_image', { partial_image_b64 });
    const raw = await upstream((reply) => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.end([...opening, picture, completed].join(''));
    });
    const path = await start({ providers: { sim: raw.url } });
    const got = await fetch(`${path.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...hello, stream: true }),
    });
    // Compared by length: the difference of two such texts would not help anybody.
    expect((await got.arrayBuffer()).byteLength).toBe([...opening, picture, completed].join('').length);
    expect(await onlyRow(path)).toMatchObject({ status: 'ok' });
  });

  it('is not what another provider signed, which OpenAI would refuse', async () => {
    const bodies: string[] = [];
    const raw = await upstream((reply, _request, body) => {
      bodies.push(body.toString('utf8'));
      reply.writeHead(200, { 'content-type': 'application/json' });
      reply.end(JSON.stringify({ ...response, status: 'completed', usage }));
    });
    const path = await start({
      providers: { sim: raw.url, claude: { baseUrl: providerUrl(), kind: 'anthropic' } },
      routes: {
        fast: [[{ provider: 'sim', model: 'gpt-5' }]],
        other: [[{ provider: 'claude', model: 'claude-sonnet-4-5' }]],
      },
    });
    const client = clientOf(path);
    const first = await client.responses.create({ ...hello, model: 'other', reasoning: { effort: 'low' } });
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'message']);
    const input = [
      { role: 'user' as const, content: 'Hello there' },
      ...(first.output as OpenAI.Responses.ResponseInput),
      { role: 'user' as const, content: 'Go on' },
    ];
    await client.responses.create({ model: 'fast', input });
    expect(JSON.parse(bodies[0] ?? '').input).toEqual([input[0], input[2], input[3]]);
  });

  it('is nothing that would be fetched later', async () => {
    const path = await start();
    const client = clientOf(path);
    await expect(client.responses.create({ ...hello, background: true })).rejects.toMatchObject({
      status: 422,
      param: 'background',
    });
    for (const fetched of [client.responses.retrieve('resp_1'), client.responses.cancel('resp_1')]) {
      await expect(fetched).rejects.toMatchObject({
        status: 404,
        message: expect.stringContaining('POST /v1/responses'),
      });
    }
    await expect(client.responses.delete('resp_1')).rejects.toThrow(OpenAI.NotFoundError);
  });
});
