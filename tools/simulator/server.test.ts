import OpenAI from 'openai';
import { afterEach, expect, test } from 'vitest';
import { credentialMark } from './journal.ts';
import type { SimulatorOptions } from './options.ts';
import { createSimulator, type Simulator } from './server.ts';

const running: Simulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.stop()));
});

async function started(options: Partial<SimulatorOptions> = {}) {
  const simulator = createSimulator({ seed: 7, apiKey: 'sk-test-simulator', ...options });
  running.push(simulator);
  const { url } = await simulator.start();
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-test-simulator', maxRetries: 0 });
  return { simulator, url, client };
}

const asked = {
  model: 'gpt-4o-mini',
  messages: [{ role: 'user' as const, content: 'Tell me about the harbour.' }],
};

async function read(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  return { chunks, text, usages: chunks.map((chunk) => chunk.usage) };
}

test('a reply and a stream of the same request say the same and count the same', async () => {
  const { client, simulator } = await started();
  const whole = await client.chat.completions.create(asked);
  const streamed = await read(
    await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } }),
  );
  expect(streamed.text).toBe(whole.choices[0]?.message.content);
  expect(streamed.text).toContain('You wrote: Tell me about the harbour.');
  expect(streamed.usages.at(-1)).toEqual(whole.usage);
  // 3 for the message, 1 for its role, 6 for its content, 3 to open the reply.
  expect(whole.usage).toMatchObject({
    prompt_tokens: 13,
    total_tokens: 13 + (whole.usage?.completion_tokens ?? 0),
  });
  expect(simulator.calls().map(({ usage, billed }) => [usage, billed])).toEqual([
    [whole.usage, whole.usage],
    [whole.usage, whole.usage],
  ]);
});

test('a stream carries usage exactly when it was asked for, alone in a last chunk without choices', async () => {
  const { client } = await started();
  const without = await read(await client.chat.completions.create({ ...asked, stream: true }));
  const withUsage = await read(
    await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } }),
  );
  expect(without.chunks.every((chunk) => !('usage' in chunk) && chunk.choices.length === 1)).toBe(true);
  expect(withUsage.usages.slice(0, -1).every((usage) => usage === null)).toBe(true);
  expect(withUsage.chunks.map((chunk) => chunk.choices.length)).toEqual([...without.chunks.map(() => 1), 0]);
  expect(without.chunks.at(-1)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' });
  expect(without.chunks[0]?.choices[0]?.delta).toMatchObject({ role: 'assistant', content: '' });
});

test('the same seed gives the same answer, another seed another', async () => {
  const contentWith = async (seed: number) =>
    (await (await started({ seed })).client.chat.completions.create(asked)).choices[0]?.message.content;
  expect(await contentWith(1)).toBe(await contentWith(1));
  expect(await contentWith(1)).not.toBe(await contentWith(2));
});

test('max_tokens cuts the answer at exactly that many tokens and says so', async () => {
  const { client } = await started();
  const full = await client.chat.completions.create(asked);
  const cut = await client.chat.completions.create({ ...asked, max_completion_tokens: 5 });
  expect(cut.choices[0]?.finish_reason).toBe('length');
  expect(cut.usage?.completion_tokens).toBe(5);
  // A cut request is another request, so only the echo at its start is the same.
  expect(full.choices[0]?.message.content).toContain(cut.choices[0]?.message.content ?? 'nothing');
});

test('stop ends the answer before the stop text', async () => {
  const { client } = await started();
  const reply = await client.chat.completions.create({ ...asked, stop: [' the harbour'] });
  expect(reply.choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { content: 'You wrote: Tell me about' },
  });
});

test('n gives that many different choices, streamed ones by their index, all of them billed', async () => {
  const { client } = await started();
  const whole = await client.chat.completions.create({ ...asked, n: 3 });
  const stream = await client.chat.completions.create({ ...asked, n: 3, stream: true });
  const texts = ['', '', ''];
  for await (const { choices } of stream) {
    for (const { index, delta } of choices) texts[index] += delta.content ?? '';
  }
  expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
  expect(new Set(texts).size).toBe(3);
  const single = await client.chat.completions.create(asked);
  expect(whole.usage?.prompt_tokens).toBe(single.usage?.prompt_tokens);
  expect(whole.usage?.completion_tokens).toBeGreaterThan(texts.length * 5);
});

const weather: OpenAI.ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 5 } },
      required: ['city', 'days'],
    },
  },
};

test('tools are called after a user message, streamed the same, and answered after their result', async () => {
  const { client } = await started();
  const messages = [{ role: 'user' as const, content: 'What is the weather in Lisbon?' }];
  const reply = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, tools: [weather] });
  const message = reply.choices[0]?.message;
  const call = message?.tool_calls?.[0];
  expect(reply.choices[0]?.finish_reason).toBe('tool_calls');
  expect(call?.type === 'function' && call.function.name).toBe('get_weather');
  expect(JSON.parse(call?.type === 'function' ? call.function.arguments : '')).toMatchObject({
    city: 'Lisbon',
  });

  const streamed = await client.chat.completions
    .stream({ model: 'gpt-4o-mini', messages, tools: [weather] })
    .finalChatCompletion();
  expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ ...call });

  const answered = await client.chat.completions.create({
    model: 'gpt-4o-mini',
    tools: [weather],
    messages: [
      ...messages,
      { role: 'assistant', content: null, tool_calls: message?.tool_calls ?? [] },
      { role: 'tool', tool_call_id: call?.id ?? '', content: '21 degrees and sunny' },
    ],
  });
  expect(answered.choices[0]?.message.content).toContain('The tool says: 21 degrees and sunny.');
});

test('response_format json_schema is answered with JSON valid for the schema', async () => {
  const { client } = await started();
  const schema = weather.type === 'function' ? weather.function.parameters : undefined;
  const reply = await client.chat.completions.create({
    ...asked,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'weather', strict: true, ...(schema && { schema }) },
    },
  });
  const value = JSON.parse(reply.choices[0]?.message.content ?? '');
  expect(value).toEqual({ city: expect.any(String), days: expect.any(Number) });
});

test('reasoning models bill their thoughts within max_completion_tokens', async () => {
  const { client } = await started();
  const reply = await client.chat.completions.create({ ...asked, model: 'o3-mini' });
  const details = reply.usage?.completion_tokens_details;
  expect(details?.reasoning_tokens).toBeGreaterThanOrEqual(64);
  expect(reply.usage?.completion_tokens).toBeGreaterThan(details?.reasoning_tokens ?? 0);
  const starved = await client.chat.completions.create({
    ...asked,
    model: 'o3-mini',
    max_completion_tokens: 30,
  });
  expect(starved.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: '' } });
  expect(starved.usage?.completion_tokens).toBe(30);
});

test('a long prompt is partly cached in steps of 128 tokens; a header sets the number', async () => {
  const { client } = await started();
  const long = {
    model: 'gpt-4o-mini',
    messages: [{ role: 'user' as const, content: 'harbour '.repeat(3_000) }],
  };
  const seeded = await client.chat.completions.create(long);
  const given = await client.chat.completions.create(long, { headers: { 'x-sim-cached-tokens': '256' } });
  const cached = seeded.usage?.prompt_tokens_details?.cached_tokens ?? -1;
  expect(cached % 128).toBe(0);
  expect(cached).toBeGreaterThan(0);
  expect(given.usage?.prompt_tokens_details?.cached_tokens).toBe(256);
});

test('passages are answered from, with citations; behaviour follows the model name or the header', async () => {
  const { client } = await started();
  const content =
    '<source id="3" title="Soup">Soup is served at noon.</source>\nQuestion: When is soup served?';
  const answerOf = async (model: string, headers = {}) =>
    (await client.chat.completions.create({ model, messages: [{ role: 'user', content }] }, { headers }))
      .choices[0]?.message.content;
  expect(await answerOf('gpt-4o-mini')).toBe('Soup is served at noon. [3]');
  const hallucinated = await answerOf('gpt-4o-mini-sim-hallucinate');
  expect(hallucinated).toMatch(/^Soup is served at noon\. \[3\] The zeppelin .* \[3\]$/u);
  expect(await answerOf('gpt-4o-mini', { 'x-sim-behaviour': 'hallucinate' })).toBe(hallucinated);
});

test('the official client reads the embeddings in its own encoding', async () => {
  const { client } = await started();
  const { data, usage } = await client.embeddings.create({
    model: 'text-embedding-3-small',
    input: ['refund window', 'refund windows', 'soup'],
  });
  const [first = [], same, other = []] = data.map(({ embedding }) => embedding);
  expect(first).toHaveLength(1_536);
  expect(same).toEqual(first);
  expect(Math.abs(first.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0))).toBeLessThan(
    0.5,
  );
  expect(usage).toEqual({ prompt_tokens: 6, total_tokens: 6 });
});

test('models are listed; with a list, others do not exist', async () => {
  const { client } = await started({ models: ['gpt-4o-mini'] });
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['gpt-4o-mini']);
  await expect(client.models.retrieve('gpt-4o')).rejects.toMatchObject({
    status: 404,
    code: 'model_not_found',
  });
  await expect(client.chat.completions.create({ ...asked, model: 'gpt-4o' })).rejects.toMatchObject({
    status: 404,
    code: 'model_not_found',
  });
});

async function errorOf(response: Response): Promise<Record<string, unknown>> {
  return ((await response.json()) as { error: Record<string, unknown> }).error;
}

test('a wrong key, a broken body and a strange path are refused in the shape of the API', async () => {
  const { url } = await started();
  const post = (path: string, body: string, key = 'sk-test-simulator') =>
    fetch(`${url}${path}`, { method: 'POST', body, headers: { authorization: `Bearer ${key}` } });
  const wrong = await post('/v1/chat/completions', JSON.stringify(asked), 'sk-test-wrong');
  expect([wrong.status, (await errorOf(wrong)).code]).toEqual([401, 'invalid_api_key']);
  const broken = await post('/v1/chat/completions', '{"model":');
  expect(broken.status).toBe(400);
  expect(await errorOf(broken)).toMatchObject({
    type: 'invalid_request_error',
    param: null,
    code: null,
  });
  const nameless = await post('/v1/chat/completions', '{"model":"m","messages":[{"role":"robot"}]}');
  expect((await errorOf(nameless)).param).toBe('messages[0].role');
  expect((await post('/v1/imaginary', '{}')).status).toBe(404);
  expect((await post('/v1/models', '{}')).status).toBe(405);
});

test('rate limits are told, and enforced with retry-after when set', async () => {
  const { client } = await started({
    rateLimit: { requestsPerMinute: 1, tokensPerMinute: 1_000 },
    now: () => 0,
  });
  const { response } = await client.chat.completions.create(asked).withResponse();
  expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0');
  expect(response.headers.get('x-ratelimit-remaining-tokens')).toBe('987');
  const refused = await client.chat.completions.create(asked).catch((error: unknown) => error);
  expect(refused).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' });
  expect((refused as InstanceType<typeof OpenAI.APIError>).headers?.get('retry-after')).toBe('60');
});

test('the journal tells what was asked and sent', async () => {
  const { simulator, client } = await started({ keepBodies: true });
  const { data, response } = await client.chat.completions
    .create({ ...asked, stream: true }, { headers: { 'x-correlation-id': 'c-42' } })
    .withResponse();
  const { chunks } = await read(data);
  const call = await simulator.waitForCall(({ endedAt }) => endedAt !== null);
  expect(call).toMatchObject({
    number: 1,
    replyId: chunks[0]?.id,
    requestId: response.headers.get('x-request-id'),
    method: 'POST',
    path: '/v1/chat/completions',
    model: 'gpt-4o-mini',
    stream: true,
    status: 200,
    usage: null,
    chunks: chunks.length - 2,
    fault: null,
    aborted: false,
    headers: { 'x-correlation-id': 'c-42', authorization: credentialMark('Bearer sk-test-simulator') },
  });
  expect(JSON.parse(call.requestBody ?? '')).toEqual({ ...asked, stream: true });
  expect(call.requestBytes).toBe(call.requestBody?.length);
  expect(JSON.stringify(simulator.calls())).not.toContain('sk-test-simulator');
  simulator.reset();
  expect(simulator.calls()).toEqual([]);
});

test('stopped, it refuses connections; started again, it has the same address', async () => {
  const { simulator, url, client } = await started();
  await simulator.stop();
  await expect(client.models.list()).rejects.toThrow('Connection error');
  expect((await simulator.start()).url).toBe(url);
  expect((await client.models.list()).data.length).toBeGreaterThan(0);
});
