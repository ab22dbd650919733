import { createOpenAI } from '@ai-sdk/openai';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { collect, onePixel, simulators, testKey, weatherSchema } from '../testing.ts';

const start = simulators();

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: testKey, maxRetries: 0 });
  return { simulator, url, client };
}

const asked = { model: 'gpt-4o-mini', input: 'Tell me about the harbour.' };
const weather: OpenAI.Responses.FunctionTool = {
  type: 'function',
  name: 'get_weather',
  parameters: weatherSchema,
  strict: true,
};

test('a response and its stream say the same and count the same', async () => {
  const { client, simulator } = await started();
  const whole = await client.responses.create(asked);
  const streamed = await client.responses.stream(asked).finalResponse();
  expect(whole.output_text).toContain('You wrote: Tell me about the harbour.');
  expect(streamed.output_text).toBe(whole.output_text);
  expect(streamed.usage).toEqual(whole.usage);
  expect(whole).toMatchObject({ status: 'completed', usage: { input_tokens: 10 } });
  const calls = simulator.calls();
  expect(calls[1]?.served).toEqual(calls[0]?.served);
  expect(calls.map(({ usage }) => usage)).toEqual([whole.usage, whole.usage]);
});

test('stream events come in the order of the API, numbered without a gap', async () => {
  const { client } = await started();
  const events = await collect(await client.responses.create({ ...asked, stream: true }));
  const order = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
  expect(order).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
});

test('reasoning is billed, and summarised when asked for', async () => {
  const { client } = await started();
  const request = { ...asked, model: 'o3-mini', reasoning: { summary: 'auto' as const } };
  const whole = await client.responses.create({ ...request, include: ['reasoning.encrypted_content'] });
  const events = await collect(await client.responses.create({ ...request, stream: true }));
  expect(whole.output.map(({ type }) => type)).toEqual(['reasoning', 'message']);
  const [item] = whole.output;
  const summary = item?.type === 'reasoning' ? item.summary[0]?.text : undefined;
  expect(item).toMatchObject({ encrypted_content: expect.any(String) });
  const told = events.flatMap((event) =>
    event.type === 'response.reasoning_summary_text.delta' ? event.delta : [],
  );
  expect(told.join('')).toBe(summary);
  expect(whole.usage?.output_tokens_details.reasoning_tokens).toBeGreaterThanOrEqual(64);
  const silent = await client.responses.create({ ...asked, model: 'o3-mini' });
  expect(silent.output[0]).toMatchObject({ type: 'reasoning', summary: [] });
});

test('functions take two rounds, by items or by going on from the response', async () => {
  const { client, simulator } = await started();
  const input = 'What is the weather in Lisbon?';
  const called = await client.responses.create({ model: 'gpt-4o-mini', input, tools: [weather] });
  const streamed = await client.responses
    .stream({ model: 'gpt-4o-mini', input, tools: [weather] })
    .finalResponse();
  const [call] = called.output;
  if (call?.type !== 'function_call') throw new Error('No function was called.');
  expect(JSON.parse(call.arguments)).toMatchObject({ city: 'Lisbon' });
  expect(streamed.output[0]).toMatchObject({ arguments: call.arguments, call_id: call.call_id });
  const result = { type: 'function_call_output' as const, call_id: call.call_id, output: '21 degrees' };
  const answered = await client.responses.create({
    model: 'gpt-4o-mini',
    tools: [weather],
    input: [{ role: 'user', content: input }, call, result],
  });
  const wentOn = await client.responses.create({
    model: 'gpt-4o-mini',
    tools: [weather],
    previous_response_id: called.id,
    input: [result],
  });
  expect(answered.output_text).toContain('The tool says: 21 degrees.');
  expect(wentOn.output_text).toBe(answered.output_text);
  expect(simulator.calls()[0]?.toolCalls[0]).toMatchObject({ id: call.call_id, whole: true });
  expect(simulator.calls()[2]?.toolResults).toEqual([call.call_id]);
  await expect(client.responses.create({ model: 'gpt-4o-mini', input: [result] })).rejects.toThrow(
    'No tool call found',
  );
});

test('images count, JSON fits its schema, and a short limit leaves a response incomplete', async () => {
  const { client, simulator } = await started();
  const image = `data:image/png;base64,${onePixel}`;
  await client.responses.create({
    model: 'gpt-4o-mini',
    input: [{ role: 'user', content: [{ type: 'input_image', image_url: image, detail: 'low' }] }],
  });
  expect(simulator.calls()[0]).toMatchObject({ images: 1, served: { inputImageTokens: 85 } });
  const json = await client.responses.create({
    ...asked,
    text: { format: { type: 'json_schema', name: 'weather', schema: weatherSchema } },
  });
  expect(JSON.parse(json.output_text)).toEqual({ city: expect.any(String), days: expect.any(Number) });
  const request = { ...asked, max_output_tokens: 16 };
  const cut = await client.responses.create(request);
  expect(cut).toMatchObject({
    status: 'incomplete',
    incomplete_details: { reason: 'max_output_tokens' },
    usage: { output_tokens: 16 },
  });
  const events = await collect(await client.responses.create({ ...request, stream: true }));
  expect(events.at(-1)?.type).toBe('response.incomplete');
});

test('an error in a stream is told, and then the response that failed by it', async () => {
  const { client, simulator, url } = await started();
  simulator.setFault({ kind: 'error-event', afterChunks: 2 });
  const raw = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${testKey}` },
    body: JSON.stringify({ ...asked, stream: true }),
  });
  const types = [...(await raw.text()).matchAll(/^event: (.*)$/gmu)].map(([, type]) => type);
  expect(types.slice(-3)).toEqual(['response.output_text.delta', 'error', 'response.failed']);
  const events = await collect(await client.responses.create({ ...asked, stream: true }));
  expect(events.at(-1)).toMatchObject({ type: 'response.failed', response: { status: 'failed' } });
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
  expect(simulator.calls()[0]).toMatchObject({ ending: 'broken', chunks: 2, usage: null });
});

test('the AI SDK reads text, reasoning and tool calls', async () => {
  const { url } = await started();
  const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: testKey });
  const text = 'What is the weather in Lisbon?';
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text }] }];
  const { stream } = await provider.responses('o3-mini').doStream({
    prompt,
    tools: [{ type: 'function', name: 'get_weather', inputSchema: weatherSchema }],
    providerOptions: { openai: { reasoningSummary: 'auto' } },
  });
  const parts = await collect(stream as unknown as AsyncIterable<{ type: string }>);
  expect(parts.map(({ type }) => type)).toEqual(expect.arrayContaining(['reasoning-delta', 'tool-call']));
  expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: { unified: 'tool-calls' } });
  const { content, usage } = await provider.responses('gpt-4o-mini').doGenerate({ prompt });
  expect(content[0]).toMatchObject({ type: 'text', text: expect.stringContaining('You wrote:') });
  expect(usage.outputTokens.total).toBeGreaterThan(0);
});
