import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { onePixel, simulators, weatherSchema } from '../testing.ts';

const start = simulators();

interface Line {
  readonly message: {
    readonly content: string;
    readonly thinking?: string;
    readonly tool_calls?: ToolCall[];
  };
  readonly done: boolean;
  readonly done_reason?: string;
  readonly prompt_eval_count?: number;
  readonly eval_count?: number;
  readonly error?: string;
}
interface ToolCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: object };
}

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const post = (path: string, body: object) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-test-simulator' },
      body: JSON.stringify(body),
    });
  const chat = async (body: object) =>
    (await (await post('/api/chat', { ...asked, stream: false, ...body })).json()) as Line;
  const lines = async (body: object) =>
    (await (await post('/api/chat', { ...asked, ...body })).text())
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  return { simulator, url, post, chat, lines };
}

const asked = { model: 'llama3.2', messages: [{ role: 'user', content: 'Tell me about the harbour.' }] };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters: weatherSchema } }];

test('a reply and its lines say the same, count the same, and tell durations', async () => {
  const { chat, lines, simulator } = await started();
  const whole = await chat({});
  const streamed = await lines({});
  expect(whole.message.content).toContain('You wrote: Tell me about the harbour.');
  expect(streamed.map(({ message }) => message.content).join('')).toBe(whole.message.content);
  const counts = { prompt_eval_count: 9, eval_count: whole.eval_count, total_duration: expect.any(Number) };
  expect(whole).toMatchObject({ done: true, done_reason: 'stop', ...counts });
  expect(streamed.at(-1)).toMatchObject({ done: true, done_reason: 'stop', ...counts });
  expect(streamed.slice(0, -1).every(({ done }) => !done)).toBe(true);
  expect(simulator.calls().map(({ stream }) => stream)).toEqual([false, true]);
  expect(simulator.calls()[1]?.usage).toEqual({ prompt_eval_count: 9, eval_count: whole.eval_count });
});

test('tools take two rounds; thoughts stand apart; JSON fits its schema; length and stop end it', async () => {
  const { chat, lines, simulator } = await started();
  const question = { role: 'user', content: 'What is the weather in Lisbon?' };
  const called = await chat({ messages: [question], tools });
  const [call] = called.message.tool_calls ?? [];
  expect(call?.function).toMatchObject({ name: 'get_weather', arguments: { city: 'Lisbon' } });
  const streamed = await lines({ messages: [question], tools });
  expect(streamed.flatMap(({ message }) => message.tool_calls ?? [])).toEqual([call]);
  const result = { role: 'tool', content: '21 degrees', tool_call_id: call?.id };
  const answered = await chat({ messages: [question, called.message, result].map(withRole), tools });
  expect(answered.message.content).toContain('The tool says: 21 degrees.');
  expect(simulator.calls()[2]?.toolResults).toEqual([call?.id]);
  expect((await chat({ think: true })).message.thinking).toEqual(expect.any(String));
  expect(JSON.parse((await chat({ format: weatherSchema })).message.content)).toMatchObject({
    days: expect.any(Number),
  });
  expect(await chat({ options: { num_predict: 5 } })).toMatchObject({ done_reason: 'length', eval_count: 5 });
  expect((await chat({ options: { stop: [' the harbour'] } })).message.content).toBe(
    'You wrote: Tell me about',
  );
  await chat({ messages: [{ role: 'user', content: 'And this?', images: [onePixel] }] });
  expect(simulator.calls().at(-1)).toMatchObject({ images: 1, served: { inputImageTokens: 256 } });
});

function withRole(message: object): object {
  return { role: 'assistant', ...message };
}

test('texts are embedded, models listed, and the version told', async () => {
  const { post, url } = await started();
  const embedded = await post('/api/embed', { model: 'nomic-embed-text', input: ['refund', 'window'] });
  const { embeddings } = (await embedded.json()) as { embeddings: number[][] };
  expect(embeddings.map(({ length }) => length)).toEqual([768, 768]);
  const headers = { authorization: 'Bearer sk-test-simulator' };
  const get = async (path: string) => (await fetch(`${url}${path}`, { headers })).json();
  expect(await get('/api/tags')).toMatchObject({ models: [{ name: 'llama3.2:latest' }, {}] });
  expect(await get('/api/version')).toEqual({ version: expect.any(String) });
});

test('errors are told in one field, also as a line of a stream', async () => {
  const { post, lines, simulator } = await started({ models: ['llama3.2'] });
  const missing = await post('/api/chat', { ...asked, model: 'none' });
  expect([missing.status, await missing.json()]).toEqual([404, { error: "model 'none' not found" }]);
  simulator.setFault({ kind: 'error-event', afterChunks: 2 });
  expect((await lines({})).at(-1)?.error).toContain('server busy');
});

test('its OpenAI-compatible side answers as well', async () => {
  const { url } = await started();
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-test-simulator', maxRetries: 0 });
  const reply = await client.chat.completions.create({
    model: 'llama3.2',
    messages: [{ role: 'user', content: 'Tell me.' }],
  });
  expect(reply.choices[0]?.message.content).toContain('You wrote: Tell me.');
});
