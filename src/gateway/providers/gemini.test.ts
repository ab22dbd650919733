import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';

let server: ScriptedProvider;
let path: ModelPath;

beforeAll(async () => {
  server = await startScriptedProvider();
  server.answers({ status: 400, body: { error: { message: 'enough' } } });
  path = await startModelPath({ providers: { gemini: { kind: 'gemini', baseUrl: `${server.url}/v1beta` } } });
});
afterAll(async () => {
  await path.stop();
  await server.stop();
});

const ask = (model: string, url: string) =>
  fetch(`${path.url}${url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: `gemini/${model}`,
      ...(url === '/v1/embeddings' ? { input: 'Hello' } : { messages: [{ role: 'user', content: 'Hello' }] }),
    }),
  });

describe('a model of Gemini', () => {
  it.each(['gemini-2.5-flash', 'models/gemini-2.5-flash', 'tunedModels/my_own-1.2'])(
    'may be %s',
    async (model) => {
      await (await ask(model, '/v1/chat/completions')).text();
      const name = model.includes('/') ? model : `models/${model}`;
      expect(server.requests.at(-1)?.path).toBe(`/v1beta/${name}:generateContent`);
    },
  );

  it.each([
    'gemini-2.5-pro:countTokens?x=',
    'models/gemini-2.5-pro:generateContent?x=',
    'cachedContents?x=',
    'x#y',
    '../x',
    'a/../../x',
    'a\\..\\..\\b',
    '%2e%2e/x',
    '/x',
    '..',
  ])('is no way to ask for something else: %s', async (model) => {
    const before = server.requests.length;
    for (const url of ['/v1/chat/completions', '/v1/embeddings']) {
      const reply = await ask(model, url);
      const { error } = (await reply.json()) as { error: { param: string } };
      expect([reply.status, error.param]).toEqual([422, 'model']);
    }
    expect(server.requests.length).toBe(before);
  });
});
