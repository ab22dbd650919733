import { createAnthropic } from '@ai-sdk/anthropic';
import Anthropic from '@anthropic-ai/sdk';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { collect, onePixel, simulators, testKey, weatherSchema } from '../testing.ts';

const start = simulators();

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  return { simulator, url, client: new Anthropic({ baseURL: url, apiKey: testKey, maxRetries: 0 }) };
}

const asked = {
  model: 'claude-test',
  max_tokens: 4_096,
  messages: [{ role: 'user' as const, content: 'Tell me about the harbour.' }],
};
const weather: Anthropic.Tool = { name: 'get_weather', input_schema: weatherSchema };

test('a message and a stream of the same request say the same and count the same', async () => {
  const { client, simulator } = await started();
  const whole = await client.messages.create(asked);
  const streamed = await client.messages.stream(asked).finalMessage();
  const [block] = whole.content;
  expect(block?.type === 'text' && block.text).toContain('You wrote: Tell me about the harbour.');
  expect(streamed.content).toEqual(whole.content);
  expect(streamed).toMatchObject({ stop_reason: 'end_turn', stop_sequence: null });
  expect(streamed.usage).toMatchObject({
    input_tokens: whole.usage.input_tokens,
    output_tokens: whole.usage.output_tokens,
  });
  expect(whole.usage).toMatchObject({ input_tokens: 9, cache_read_input_tokens: 0 });
  const calls = simulator.calls();
  expect(calls.map(({ wire, ending }) => [wire, ending])).toEqual([
    ['anthropic-messages', 'whole'],
    ['anthropic-messages', 'whole'],
  ]);
  expect(calls[1]?.served).toEqual(calls[0]?.served);
  expect(calls[1]?.served).toMatchObject({ inputTokens: 9, outputTokens: whole.usage.output_tokens });
  expect(calls[0]?.keySuffix).toBe(testKey.slice(-4));
});

test('stream events come in the order of the API', async () => {
  const { client } = await started();
  const events = await collect(await client.messages.create({ ...asked, stream: true }));
  const order = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
  expect(order).toEqual([
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
  const { url } = await started({ apiKey: 'sk-test-raw' });
  const raw = await fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': 'sk-test-raw', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ ...asked, stream: true }),
  });
  expect(await raw.text()).toContain('event: ping\ndata: {"type":"ping"}\n\n');
});

test('thinking is told, signed and billed; a block that was changed is refused', async () => {
  const { client, simulator } = await started();
  const thinking = { type: 'enabled' as const, budget_tokens: 1_024 };
  const whole = await client.messages.create({ ...asked, thinking });
  const streamed = await client.messages.stream({ ...asked, thinking }).finalMessage();
  expect(whole.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
  expect(streamed.content).toEqual(whole.content);
  const thought = whole.usage.output_tokens_details?.thinking_tokens ?? 0;
  expect(thought).toBeGreaterThanOrEqual(64);
  expect(whole.usage.output_tokens).toBeGreaterThan(thought);
  expect(simulator.calls()[1]?.served?.reasoningTokens).toBe(thought);

  const again = { role: 'user' as const, content: 'And then?' };
  const told = { role: 'assistant' as const, content: whole.content as Anthropic.ContentBlockParam[] };
  const messages = [...asked.messages, told, again];
  await expect(client.messages.create({ ...asked, thinking, messages })).resolves.toBeDefined();
  const [block] = whole.content;
  const forged = { ...block, thinking: 'Something else.' } as Anthropic.ThinkingBlockParam;
  await expect(
    client.messages.create({
      ...asked,
      thinking,
      messages: [...asked.messages, { role: 'assistant', content: [forged] }, again],
    }),
  ).rejects.toMatchObject({ status: 400, type: 'invalid_request_error' });
});

test('tools take two rounds, streamed as input_json_delta', async () => {
  const { client, simulator } = await started();
  const question = { role: 'user' as const, content: 'What is the weather in Lisbon?' };
  const request = { ...asked, messages: [question], tools: [weather] };
  const called = await client.messages.create(request);
  const streamed = await client.messages.stream(request).finalMessage();
  expect(called.stop_reason).toBe('tool_use');
  expect(streamed.content).toEqual(called.content);
  const [use] = called.content;
  if (use?.type !== 'tool_use') throw new Error('No tool was called.');
  expect(use).toMatchObject({ name: 'get_weather', input: { city: 'Lisbon' } });

  const result = { type: 'tool_result' as const, tool_use_id: use.id, content: '21 degrees and sunny' };
  const answered = await client.messages.create({
    ...request,
    messages: [question, { role: 'assistant', content: [use] }, { role: 'user', content: [result] }],
  });
  expect(answered.content[0]).toMatchObject({
    text: expect.stringContaining('The tool says: 21 degrees and sunny.'),
  });
  const calls = simulator.calls();
  expect(calls[1]?.toolCalls).toEqual([
    { id: use.id, name: 'get_weather', argumentsJson: JSON.stringify(use.input), whole: true },
  ]);
  expect(calls[2]).toMatchObject({ toolCalls: [], toolResults: [use.id] });
  await expect(
    client.messages.create({ ...request, messages: [question, { role: 'user', content: [result] }] }),
  ).rejects.toThrow('unexpected `tool_use_id`');
});

test('tool_choice names a tool or forbids one', async () => {
  const { client } = await started();
  const other: Anthropic.Tool = { name: 'other', input_schema: weatherSchema };
  const tools = [weather, other];
  const named = await client.messages.create({
    ...asked,
    tools,
    tool_choice: { type: 'tool', name: 'other' },
  });
  expect(named.content[0]).toMatchObject({ type: 'tool_use', name: 'other' });
  const none = await client.messages.create({ ...asked, tools, tool_choice: { type: 'none' } });
  expect(none.content[0]?.type).toBe('text');
});

test('images count by their size, JSON fits its schema, stop and length end the answer', async () => {
  const { client, simulator } = await started();
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data: onePixel };
  const text = { type: 'text' as const, text: 'What is this?' };
  await client.messages.create({
    ...asked,
    messages: [{ role: 'user', content: [{ type: 'image', source }, text] }],
  });
  expect(simulator.calls()[0]).toMatchObject({ images: 1, served: { inputImageTokens: 1 } });

  const json = await client.messages.create({
    ...asked,
    output_config: { format: { type: 'json_schema', schema: weatherSchema } },
  });
  const [said] = json.content;
  expect(JSON.parse(said?.type === 'text' ? said.text : '')).toEqual({
    city: expect.any(String),
    days: expect.any(Number),
  });

  const stopped = await client.messages.create({ ...asked, stop_sequences: ['never', ' the harbour'] });
  expect(stopped).toMatchObject({
    stop_reason: 'stop_sequence',
    stop_sequence: ' the harbour',
    content: [{ text: 'You wrote: Tell me about' }],
  });
  const cut = await client.messages.create({ ...asked, max_tokens: 5 });
  expect(cut).toMatchObject({ stop_reason: 'max_tokens', usage: { output_tokens: 5 } });
});

test('marked prefixes are written to the cache once, for five minutes or an hour, and then read', async () => {
  const clock = { ms: 1_000_000 };
  const { client } = await started({ now: () => clock.ms });
  const long = 'The rules of the house are many. '.repeat(40);
  const system: Anthropic.TextBlockParam[] = [
    { type: 'text', text: long, cache_control: { type: 'ephemeral', ttl: '1h' } },
    { type: 'text', text: `${long} And more.`, cache_control: { type: 'ephemeral' } },
  ];
  const first = (await client.messages.create({ ...asked, system })).usage;
  const second = (await client.messages.create({ ...asked, system })).usage;
  const [hour = 0, fiveMinutes = 0] = [
    first.cache_creation?.ephemeral_1h_input_tokens,
    first.cache_creation?.ephemeral_5m_input_tokens,
  ];
  expect(hour).toBeGreaterThan(200);
  expect(fiveMinutes).toBeGreaterThan(200);
  expect(first).toMatchObject({
    cache_creation_input_tokens: hour + fiveMinutes,
    cache_read_input_tokens: 0,
  });
  expect(second).toMatchObject({
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: hour + fiveMinutes,
    input_tokens: first.input_tokens,
  });
  clock.ms += 6 * 60_000;
  const later = (await client.messages.create({ ...asked, system })).usage;
  expect(later).toMatchObject({
    cache_read_input_tokens: hour,
    cache_creation: { ephemeral_5m_input_tokens: fiveMinutes, ephemeral_1h_input_tokens: 0 },
  });
});

test('count_tokens counts what the call would', async () => {
  const { client } = await started();
  const { max_tokens: _, ...counted } = { ...asked, tools: [weather] };
  const { input_tokens: tokens } = await client.messages.countTokens(counted);
  expect((await client.messages.create({ ...asked, tools: [weather] })).usage.input_tokens).toBe(tokens);
});

test('refusals have the types, statuses and headers of the API', async () => {
  const { client, simulator, url } = await started({ models: ['claude-test'], contextTokens: 1_000 });
  const wrong = new Anthropic({ baseURL: url, apiKey: 'sk-test-wrong', maxRetries: 0 });
  const refusal = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: InstanceType<typeof Anthropic.APIError>) => [error.status, error.type],
    );
  expect(await refusal(wrong.messages.create(asked))).toEqual([401, 'authentication_error']);
  expect(await refusal(client.messages.create({ ...asked, model: 'claude-none' }))).toEqual([
    404,
    'not_found_error',
  ]);
  const long = { role: 'user' as const, content: 'word '.repeat(2_000) };
  await expect(client.messages.create({ ...asked, messages: [long] })).rejects.toThrow(
    /prompt is too long: \d+ tokens > 1000 maximum/u,
  );
  simulator.setFault({ kind: 'unavailable', times: 1 });
  expect(await refusal(client.messages.create(asked))).toEqual([529, 'overloaded_error']);
  simulator.setFault({ kind: 'rate-limited', retryAfterS: 12, times: 1 });
  const limited = await client.messages.create(asked).catch((error: unknown) => error);
  expect(limited).toMatchObject({ status: 429, type: 'rate_limit_error' });
  expect((limited as InstanceType<typeof Anthropic.APIError>).headers?.get('retry-after')).toBe('12');
  const bare = await fetch(`${url}/v1/messages`, { method: 'POST', headers: { 'x-api-key': testKey } });
  expect([bare.status, await bare.json()]).toMatchObject([400, { type: 'error', error: {} }]);
  const { response } = await client.messages.create(asked).withResponse();
  expect(response.headers.get('anthropic-ratelimit-input-tokens-limit')).toBe('10000000');
  expect(response.headers.get('request-id')).toMatch(/^req_/u);
});

test('the AI SDK reads text, thoughts, tool calls and cache usage', async () => {
  const { url } = await started();
  const model = createAnthropic({ baseURL: `${url}/v1`, apiKey: testKey })('claude-test');
  const prompt = [
    { role: 'user' as const, content: [{ type: 'text' as const, text: 'What is the weather in Lisbon?' }] },
  ];
  const { stream } = await model.doStream({
    prompt,
    tools: [{ type: 'function', name: 'get_weather', inputSchema: weatherSchema }],
    providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 1_024 } } },
  });
  const parts = await collect(stream as unknown as AsyncIterable<{ type: string }>);
  expect(parts.map(({ type }) => type)).toEqual(expect.arrayContaining(['reasoning-delta', 'tool-call']));
  expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: { unified: 'tool-calls' } });
  const { content, usage } = await model.doGenerate({ prompt });
  expect(content[0]).toMatchObject({ type: 'text', text: expect.stringContaining('You wrote:') });
  expect(usage.inputTokens.total).toBeGreaterThan(0);
});
