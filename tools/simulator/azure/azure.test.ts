import { createAzure } from '@ai-sdk/azure';
import OpenAI, { AzureOpenAI } from 'openai';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { collect, simulators, testKey, weatherSchema } from '../testing.ts';

const start = simulators();

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const dated = new AzureOpenAI({
    ...{ endpoint: url, apiKey: testKey, apiVersion: '2024-10-21', maxRetries: 0 },
    deployment: 'my-gpt-4o',
  });
  const current = new OpenAI({
    ...{ baseURL: `${url}/openai/v1`, apiKey: testKey, maxRetries: 0 },
    defaultHeaders: { 'api-key': testKey, authorization: null },
  });
  return { simulator, url, dated, current };
}

const messages = [{ role: 'user' as const, content: 'Tell me about the harbour.' }];

test('the deployment in the path names the model; filters tell what they found', async () => {
  const { dated, simulator } = await started();
  const whole = await dated.chat.completions.create({ model: 'ignored', messages });
  expect(whole).toMatchObject({
    model: 'my-gpt-4o',
    prompt_filter_results: [{ prompt_index: 0, content_filter_results: { jailbreak: { detected: false } } }],
    choices: [{ content_filter_results: { hate: { filtered: false, severity: 'safe' } } }],
  });
  const chunks = await collect(
    await dated.chat.completions.create({ model: 'ignored', messages, stream: true }),
  );
  expect(chunks[0]).toMatchObject({ choices: [], id: '', prompt_filter_results: [{ prompt_index: 0 }] });
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  expect(text).toBe(whole.choices[0]?.message.content);
  expect(simulator.calls().map(({ wire, model, keySuffix }) => [wire, model, keySuffix])).toEqual([
    ['azure-chat', 'my-gpt-4o', testKey.slice(-4)],
    ['azure-chat', 'my-gpt-4o', testKey.slice(-4)],
  ]);
});

test('the current paths take the model from the body, for chat, responses and embeddings', async () => {
  const { current, simulator } = await started();
  const chat = await current.chat.completions.create({ model: 'gpt-4o', messages });
  const response = await current.responses.create({ model: 'gpt-4o', input: 'Tell me about the harbour.' });
  const vectors = await current.embeddings.create({ model: 'text-embedding-3-small', input: 'refund' });
  expect(chat.choices[0]?.message.content).toContain('You wrote:');
  expect(response.output_text).toContain('You wrote:');
  expect(vectors.data[0]?.embedding).toHaveLength(1_536);
  expect(simulator.calls().map(({ wire }) => wire)).toEqual([
    'azure-chat',
    'azure-responses',
    'azure-embeddings',
  ]);
});

test('refusals have the codes and headers of Azure', async () => {
  const { dated, simulator, url } = await started({ models: ['gpt-4o'] });
  const deployed = dated.chat.completions.create({ model: 'x', messages });
  await expect(deployed).rejects.toMatchObject({ status: 404, code: 'DeploymentNotFound' });
  simulator.setFault({ kind: 'rate-limited', retryAfterS: 12 });
  const limited = await dated.chat.completions
    .create({ model: 'x', messages })
    .catch((error: unknown) => error);
  const { status, headers } = limited as InstanceType<typeof OpenAI.APIError>;
  expect([status, headers?.get('retry-after'), headers?.get('retry-after-ms')]).toEqual([429, '12', '12000']);
  const post = (path: string, key: string) =>
    fetch(`${url}/openai/${path}`, { method: 'POST', headers: { 'api-key': key }, body: '{}' });
  expect(await (await post('v1/chat/completions', 'sk-test-wrong')).json()).toMatchObject({
    error: { code: '401' },
  });
  simulator.setFault(null);
  expect((await post('deployments/gpt-4o/chat/completions', testKey)).status).toBe(404);
});

test('the AI SDK reads both kinds of address', async () => {
  const { url } = await started();
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'In Lisbon?' }] }];
  const current = createAzure({ baseURL: `${url}/openai/v1`, apiKey: testKey });
  const tools = [{ type: 'function' as const, name: 'get_weather', inputSchema: weatherSchema }];
  const older = createAzure({
    ...{ baseURL: `${url}/openai`, apiKey: testKey, apiVersion: '2024-10-21' },
    useDeploymentBasedUrls: true,
  });
  for (const provider of [current, older]) {
    const { stream } = await provider.chat('gpt-4o').doStream({ prompt, tools });
    const parts = await collect(stream as unknown as AsyncIterable<{ type: string }>);
    expect(parts.find(({ type }) => type === 'tool-call')).toMatchObject({ toolName: 'get_weather' });
  }
});
