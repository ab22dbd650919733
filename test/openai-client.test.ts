import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

/** OpenAI's price of gpt-4o-mini in dollars per million tokens, as its price page and the catalogue have it. */
const inputPrice = 150n;
const cachedInputPrice = 75n;
const outputPrice = 600n;

let simulator: Simulator;
let server: RunningServer;
let client: OpenAI;

beforeAll(async () => {
  simulator = createSimulator({ seed: 11, apiKey: 'sk-test-upstream', cachedTokens: 3 });
  const upstream = await simulator.start();
  server = await startServer();
  await server.call('POST', '/api/v1/providers', {
    name: 'upstream',
    kind: 'openai',
    base_url: `${upstream.url}/v1`,
    api_key: 'sk-test-upstream',
  });
  await server.call('PUT', '/api/v1/routes/fast', {
    tiers: [{ targets: [{ provider: 'upstream', model: 'gpt-4o-mini', weight: 1 }] }],
  });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: testAdminKey, maxRetries: 0 });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('an application with the official openai client, its base URL and key changed', () => {
  it('streams a chat, and the ledger holds the usage that the provider sent at the price of the catalogue', async () => {
    simulator.reset();
    const before = await server.call('GET', '/api/v1/costs/summary');
    const stream = await client.chat.completions.create(
      {
        model: 'fast',
        stream: true,
        messages: [{ role: 'user', content: 'Tell me about gates and houses.' }],
      },
      { headers: { 'x-correlation-id': 'story-of-a-stream' } },
    );
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    expect(text.length).toBeGreaterThan(20);

    const [served] = simulator.calls();
    expect(served).toMatchObject({ model: 'gpt-4o-mini', status: 200 });
    expect(served?.headers['x-correlation-id']).toBe('story-of-a-stream');
    const usage = served?.usage as any;
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    const cached = BigInt(usage.prompt_tokens_details?.cached_tokens ?? 0);
    const nano =
      (BigInt(usage.prompt_tokens) - cached) * inputPrice +
      cached * cachedInputPrice +
      BigInt(usage.completion_tokens) * outputPrice;

    await server.call('GET', '/api/v1/costs/summary');
    const { json } = await server.call('GET', '/api/v1/costs/ledger?correlation_id=story-of-a-stream');
    expect(json.rows ?? json.entries ?? json.calls).toHaveLength(1);
    const [row] = json.rows ?? json.entries ?? json.calls;
    expect(row).toMatchObject({
      status: 'ok',
      provider: 'upstream',
      model: 'gpt-4o-mini',
      route: 'fast',
      tier: 'primary',
      streamed: true,
      estimated: false,
      correlation_id: 'story-of-a-stream',
    });
    expect(row.raw_usage).toEqual(usage);
    const after = await server.call('GET', '/api/v1/costs/summary');
    expect(nanoOf(after.json.total_cost_usd) - nanoOf(before.json.total_cost_usd)).toBe(nano);
    expect(after.json.calls).toBe(before.json.calls + 1);
  });

  it('chats without streaming, uses tools in two rounds, makes embeddings and lists models', async () => {
    const plain = await client.chat.completions.create({
      model: 'fast',
      messages: [{ role: 'user', content: 'Hello.' }],
    });
    expect(plain.choices[0]?.message.content).toBeTruthy();

    const tools: OpenAI.ChatCompletionTool[] = [
      {
        type: 'function',
        function: {
          name: 'weather',
          parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
        },
      },
    ];
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: 'user', content: 'How is the weather in Oslo?' },
    ];
    const asked = await client.chat.completions.create({ model: 'fast', messages, tools });
    const toolCall = asked.choices[0]?.message.tool_calls?.[0];
    expect(toolCall?.type === 'function' && toolCall.function.name).toBe('weather');
    if (!asked.choices[0] || !toolCall) throw new Error('no tool call');
    messages.push(asked.choices[0].message, {
      role: 'tool',
      tool_call_id: toolCall.id,
      content: '{"sky":"clear"}',
    });
    const answered = await client.chat.completions.create({ model: 'fast', messages, tools });
    expect(answered.choices[0]?.message.content).toBeTruthy();

    const vectors = await client.embeddings.create({
      model: 'upstream/text-embedding-3-small',
      input: ['a', 'b'],
    });
    expect(vectors.data).toHaveLength(2);

    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toContain('fast');
  });

  it('raises its own exceptions for our errors', async () => {
    const ask = (model: string) =>
      client.chat.completions.create({ model, messages: [{ role: 'user', content: 'x' }] });
    await expect(ask('absent/model')).rejects.toThrow(OpenAI.NotFoundError);
    await expect(ask('absent/model')).rejects.toThrow(/fast/);
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'gh_wrong', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  });
});

/** Exact: "1.000000002" → 1000000002n. */
function nanoOf(dollars: string): bigint {
  const [whole, fraction = ''] = dollars.split('.');
  return BigInt(whole ?? '0') * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}
