import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { testCredentials } from '../../../tools/simulator/bedrock/signature.ts';
import { createSimulator } from '../../../tools/simulator/server.ts';

const simulator = createSimulator({ seed: 7, apiKey: 'sk-test-upstream' });
let path: ModelPath;
let client: OpenAI;

let url: string;

beforeAll(async () => {
  ({ url } = await simulator.start());
});
/** Anew for each test: a provider that failed often is left alone for a while. */
beforeEach(async () => {
  const { accessKeyId, secretAccessKey } = testCredentials;
  path = await startModelPath({
    providers: {
      anthropic: { kind: 'anthropic', baseUrl: `${url}/v1` },
      gemini: { kind: 'gemini', baseUrl: `${url}/v1beta` },
      bedrock: { kind: 'bedrock', baseUrl: url, keys: [{ value: `${accessKeyId}:${secretAccessKey}` }] },
      kapa: { kind: 'kapa', baseUrl: url, settings: { projectId: '11111111-2222-4333-8444-555555555555' } },
    },
    timeouts: { firstTokenMs: 200, idleMs: 200 },
    // One attempt each: that they are tried again is told elsewhere.
    retryBudget: { share: 0, least: 0 },
  });
  client = new OpenAI({ baseURL: `${path.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
});
afterEach(async () => {
  await path.stop();
  simulator.reset();
});
afterAll(() => simulator.stop());

const models = [
  'anthropic/claude-sonnet-4-5',
  'gemini/gemini-2.5-flash',
  'bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0',
  'kapa/docs',
];
const messages = [{ role: 'user' as const, content: 'Tell me about harbours.' }];

/** Each of them spoils an answer for good, whole or streamed. */
const spoiling = [
  'server-error',
  'unavailable',
  'html-error',
  'hang-before-headers',
  'reset-before-headers',
  'reset-mid-stream',
  'cut-mid-stream',
  'malformed',
  'gzip-bomb',
  'error-event',
] as const;
/** These spoil a stream. */
const spoilingStreams = ['hang-before-first-token', 'hang-mid-stream', 'half-close', 'missing-done'] as const;

describe.each(models)('%s', (model) => {
  const whole = () => client.chat.completions.create({ model, messages });
  const streamed = async () => {
    let text = '';
    for await (const event of await client.chat.completions.create({ model, messages, stream: true })) {
      text += event.choices[0]?.delta.content ?? '';
    }
    return text;
  };

  it('answers while nothing is wrong', async () => {
    const reply = await whole();
    expect(await streamed()).toBe(reply.choices[0]?.message.content);
  });

  it.each(spoiling)('never takes what is spoiled for an answer: %s', async (kind) => {
    simulator.setFault(kind === 'gzip-bomb' ? { kind, expandBytes: 80 * 1024 * 1024 } : { kind });
    await expect(whole()).rejects.toBeInstanceOf(OpenAI.APIError);
    await expect(streamed()).rejects.toBeInstanceOf(OpenAI.APIError);
    const rows = await path.ledger();
    expect(rows.map(({ status }) => status)).not.toContain('ok');
    expect(simulator.totals().calls).toBeGreaterThanOrEqual(2);
  });

  it.each(spoilingStreams)('never takes a stream that is spoiled for a whole one: %s', async (kind) => {
    simulator.setFault({ kind });
    await expect(streamed()).rejects.toBeInstanceOf(OpenAI.APIError);
    expect((await path.ledger()).at(-1)?.status).not.toBe('ok');
  });

  // Anthropic and Bedrock never leave it out, and their packages insist on it.
  it.skipIf(/^anthropic|^bedrock/.test(model))('estimates where the provider tells no usage', async () => {
    simulator.setFault({ kind: 'no-usage' });
    await whole();
    await streamed();
    const rows = await path.ledger();
    expect(rows).toMatchObject([{ estimated: true }, { estimated: true }]);
    for (const row of rows) expect(Number(row.output_tokens)).toBeGreaterThan(0);
  });
});
