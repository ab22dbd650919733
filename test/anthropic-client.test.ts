import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

/** Anthropic's prices of Claude Sonnet 4.5 in nano-dollars a token, as its price page and the catalogue have them. */
const prices = { input: 3_000n, read: 300n, write5m: 3_750n, write1h: 6_000n, output: 15_000n };

let simulator: Simulator;
let server: RunningServer;
let client: Anthropic;

beforeAll(async () => {
  simulator = createSimulator({ seed: 11, apiKey: 'sk-test-upstream' });
  const upstream = await simulator.start();
  server = await startServer();
  await server.call('POST', '/api/v1/providers', {
    name: 'claude',
    kind: 'anthropic',
    base_url: `${upstream.url}/v1`,
    api_key: 'sk-test-upstream',
  });
  await server.call('PUT', '/api/v1/routes/smart', {
    tiers: [{ targets: [{ provider: 'claude', model: 'claude-sonnet-4-5', weight: 1 }] }],
  });
  client = new Anthropic({ baseURL: server.url, apiKey: testAdminKey, maxRetries: 0 });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

const rowOf = async (correlationId: string) => {
  await server.call('GET', '/api/v1/costs/summary');
  const { json } = await server.call('GET', `/api/v1/costs/ledger?correlation_id=${correlationId}`);
  const rows = json.rows ?? json.entries ?? json.calls;
  expect(rows).toHaveLength(1);
  return rows[0];
};
const known = (id: string) => ({ headers: { 'x-correlation-id': id } });

describe('an application with the official Anthropic client, its base URL and key changed', () => {
  it('streams an answer to a prompt that the provider keeps, and pays for each class of tokens', async () => {
    const long = 'The rules of the house are many. '.repeat(40);
    const asked = {
      model: 'smart',
      max_tokens: 1_000,
      system: [
        {
          type: 'text' as const,
          text: long,
          cache_control: { type: 'ephemeral' as const, ttl: '1h' as const },
        },
        { type: 'text' as const, text: `${long} Still.`, cache_control: { type: 'ephemeral' as const } },
      ],
      messages: [{ role: 'user' as const, content: 'Which rule is the first?' }],
    };
    const first = await client.messages.stream(asked, known('story-of-a-write')).finalMessage();
    await client.messages.stream(asked, known('story-of-a-read')).finalMessage();
    const written = await rowOf('story-of-a-write');
    const read = await rowOf('story-of-a-read');
    const { cache_creation: kept, input_tokens: input, output_tokens: output } = first.usage;
    const hour = kept?.ephemeral_1h_input_tokens ?? 0;
    const minutes = kept?.ephemeral_5m_input_tokens ?? 0;
    expect(hour * minutes).toBeGreaterThan(0);
    const cost = (row: { cost_usd: string }) => nanoOf(row.cost_usd);
    expect(cost(written)).toBe(
      BigInt(input) * prices.input +
        BigInt(hour) * prices.write1h +
        BigInt(minutes) * prices.write5m +
        BigInt(output) * prices.output,
    );
    expect(cost(read)).toBe(
      BigInt(input) * prices.input + BigInt(hour + minutes) * prices.read + BigInt(output) * prices.output,
    );
    expect(read).toMatchObject({
      status: 'ok',
      dialect: 'anthropic-messages',
      streamed: true,
      estimated: false,
    });
  });

  it('counts tokens, which is a call like any other and free', async () => {
    const asked = { model: 'smart', messages: [{ role: 'user' as const, content: 'How long is this?' }] };
    const { input_tokens: tokens } = await client.messages.countTokens(asked, known('story-of-a-count'));
    const { usage } = await client.messages.create({ ...asked, max_tokens: 100 });
    expect(tokens).toBe(usage.input_tokens);
    expect(await rowOf('story-of-a-count')).toMatchObject({
      ...{ operation: 'count_tokens', pricing_state: 'free', input_tokens: 0 },
    });
  });

  it('lists models, and raises its own exceptions for our errors', async () => {
    const names: string[] = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names).toContain('smart');
    const ask = (model: string) =>
      client.messages.create({ model, max_tokens: 10, messages: [{ role: 'user', content: 'x' }] });
    await expect(ask('absent/model')).rejects.toThrow(Anthropic.NotFoundError);
    await expect(ask('absent/model')).rejects.toThrow(/smart/);
    const stranger = new Anthropic({ baseURL: server.url, apiKey: 'gh_wrong', maxRetries: 0 });
    const refused = await stranger.models.list().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(refused).toMatchObject({ type: 'authentication_error', errorCode: 'unauthenticated' });
  });
});

/** Exact: "1.000000002" → 1000000002n. */
function nanoOf(dollars: string): bigint {
  const [whole, fraction = ''] = dollars.split('.');
  return BigInt(whole ?? '0') * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}
