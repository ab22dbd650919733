import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, type ProviderOfTest, startModelPath } from '../../../test/harness/model-path.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';

let provider: ScriptedProvider;
let path: ModelPath;
let client: OpenAI;

beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.stop());
afterEach(() => path.stop());

async function start(given: Partial<ProviderOfTest>) {
  path = await startModelPath({ providers: { p: { baseUrl: provider.url, ...given } } });
  client = new OpenAI({ baseURL: `${path.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
}
const gemini = { kind: 'gemini' as const };
const bedrock = {
  kind: 'bedrock' as const,
  keys: [{ value: 'AKIATESTTESTTEST:secret-of-test' }],
  settings: { awsRegion: 'eu-central-1' },
};

describe('embeddings of a provider that does not speak OpenAI', () => {
  it('come from Gemini, as numbers or as bytes', async () => {
    await start(gemini);
    const embeddings = [{ values: [0.5, -1] }, { values: [0.25, 2] }];
    provider.answers({ body: { embeddings, usageMetadata: { promptTokenCount: 6 } } });
    for (const encoding_format of ['float', 'base64', undefined] as const) {
      const reply = await client.embeddings.create({
        model: 'p/gemini-embedding-001',
        input: ['one', 'two'],
        dimensions: 2,
        ...(encoding_format ? { encoding_format } : {}),
      });
      const vectors = reply.data.map(({ embedding }) =>
        typeof embedding === 'string'
          ? [...new Float32Array(Uint8Array.from(Buffer.from(embedding, 'base64')).buffer)]
          : embedding,
      );
      expect(vectors).toEqual([
        [0.5, -1],
        [0.25, 2],
      ]);
    }
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/models/gemini-embedding-001:batchEmbedContents',
      body: { requests: [{ outputDimensionality: 2 }, { content: { parts: [{ text: 'two' }] } }] },
    });
    expect((await path.ledger()).at(-1)).toMatchObject({
      operation: 'embeddings',
      estimated: false,
      input_tokens: 6,
    });
  });

  it('are asked one by one of a model that takes no more, and joined in their order', async () => {
    await start(bedrock);
    const before = provider.requests.length;
    provider.answers((response) => {
      const text = String(provider.requests.at(-1)?.body.inputText);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ embedding: [text.length, 0], inputTextTokenCount: text.length }));
    });
    const input = Array.from({ length: 20 }, (_, n) => 'x'.repeat(n + 1));
    const reply = await client.embeddings.create({
      model: 'p/amazon.titan-embed-text-v2:0',
      input,
      dimensions: 256,
      encoding_format: 'float',
    });
    expect(reply.data.map(({ embedding }) => embedding[0])).toEqual(input.map((text) => text.length));
    expect(reply.usage).toEqual({ prompt_tokens: 210, total_tokens: 210 });
    expect(provider.requests.length - before).toBe(20);
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/model/amazon.titan-embed-text-v2%3A0/invoke',
      headers: { authorization: expect.stringContaining('/eu-central-1/bedrock/aws4_request') },
      body: { dimensions: 256 },
    });
    expect(await path.ledger()).toMatchObject([{ estimated: false, input_tokens: 210, attempts: 1 }]);
  });

  it('are refused by name where they cannot be had', async () => {
    await start({ kind: 'anthropic' });
    const asked = client.embeddings.create({ model: 'p/claude-sonnet-4-5', input: 'hi' });
    await expect(asked).rejects.toMatchObject({
      status: 422,
      message: expect.stringContaining('offers no embeddings'),
    });
    await path.stop();
    await start(bedrock);
    for (const wrong of [
      { input: [[1, 2]] as never },
      { dimensions: 257 },
      { encoding_format: 'int8' as never },
    ]) {
      const refused = client.embeddings.create({
        model: 'p/amazon.titan-embed-text-v2:0',
        input: 'hi',
        ...wrong,
      });
      await expect(refused).rejects.toMatchObject({
        status: 422,
        message: expect.stringContaining(Object.keys(wrong)[0] ?? ''),
      });
    }
  });
});
