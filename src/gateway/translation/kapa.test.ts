import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';

let provider: ScriptedProvider;
let path: ModelPath;
let client: OpenAI;

beforeAll(async () => {
  provider = await startScriptedProvider();
  path = await startModelPath({
    providers: {
      docs: {
        kind: 'kapa',
        baseUrl: provider.url,
        keys: [{ value: 'key-of-test' }],
        settings: { projectId: 'project-1' },
      },
    },
  });
  client = new OpenAI({ baseURL: `${path.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
});
afterAll(async () => {
  await path.stop();
  await provider.stop();
});

const question = { role: 'user' as const, content: 'How do I start?' };
const identifiers = { thread_id: 'thread-1', question_answer_id: 'answer-1' };
const relevant_sources = [{ source_url: 'https://docs.example/start', title: 'Starting' }];
const cited = {
  type: 'url_citation',
  url_citation: { url: 'https://docs.example/start', title: 'Starting' },
};
const record = (type: string, content: object) => `${JSON.stringify({ chunk: { type, content } })}\u241e`;

describe('Kapa as a provider', () => {
  it('answers a question, names its sources, and says how to go on', async () => {
    provider.answers({ body: { answer: 'Run it.', ...identifiers, relevant_sources } });
    const reply = await client.chat.completions.create({ model: 'docs/kapa', messages: [question] });
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/query/v1/projects/project-1/chat/',
      headers: { 'x-api-key': 'key-of-test' },
      body: { query: 'How do I start?' },
    });
    expect(reply.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: 'Run it.', annotations: [cited] },
    });
    expect(reply).toMatchObject({
      metadata: { kapa_thread_id: 'thread-1', kapa_question_answer_id: 'answer-1' },
    });
    expect((await path.ledger()).at(-1)).toMatchObject({ status: 'ok', estimated: true });
  });

  it('goes on in the thread of an earlier answer', async () => {
    provider.answers({ body: { answer: 'As said.', ...identifiers } });
    await client.chat.completions.create({
      model: 'docs/kapa',
      messages: [question, { role: 'assistant', content: 'Run it.' }, { role: 'user', content: 'And then?' }],
      metadata: { kapa_thread_id: 'thread/1' },
    });
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/query/v1/threads/thread%2F1/chat/',
      body: { query: 'And then?' },
    });
  });

  it('answers piece by piece, however the pieces are cut', async () => {
    const bytes = Buffer.from(
      record('relevant_sources', { relevant_sources }) +
        record('partial_answer', { text: 'Ru' }) +
        record('partial_answer', { text: 'n “it”.' }) +
        record('identifiers', identifiers),
    );
    provider.answers((response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const next = (at: number): void => {
        if (at >= bytes.length) response.end();
        else response.write(bytes.subarray(at, at + 7), () => next(at + 7));
      };
      next(0);
    });
    const stream = client.chat.completions.stream({ model: 'docs/kapa', messages: [question] });
    const reply = await stream.finalChatCompletion();
    expect(reply.choices[0]?.message).toMatchObject({ content: 'Run “it”.', annotations: [cited] });
    expect(provider.requests.at(-1)?.path).toBe('/query/v1/projects/project-1/chat/stream/');
  });

  it('says when an answer was cut off', async () => {
    provider.answers({
      body: record('partial_answer', { text: 'Ru' }),
      headers: { 'content-type': 'text/plain' },
    });
    const stream = client.chat.completions.stream({ model: 'docs/kapa', messages: [question] });
    await expect(stream.finalChatCompletion()).rejects.toThrow();
    expect((await path.ledger()).at(-1)).toMatchObject({ status: 'error' });
  });

  it('refuses in the words of Kapa', async () => {
    provider.answers({ status: 404, body: { detail: 'No such project.' } });
    const asked = client.chat.completions.create({ model: 'docs/kapa', messages: [question] });
    await expect(asked).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('No such project.'),
    });
  });

  it.each([
    ['messages', { messages: [{ role: 'system' as const, content: 'Be brief.' }, question] }],
    ['messages', { messages: [question, { role: 'assistant' as const, content: 'Run it.' }, question] }],
    ['tools', { messages: [question], tools: [{ type: 'function' as const, function: { name: 'f' } }] }],
    ['temperature', { messages: [question], temperature: 0.2 }],
  ])('takes a question and nothing else: %s', async (field, given) => {
    const asked = provider.requests.length;
    const refused = client.chat.completions.create({ model: 'docs/kapa', ...given });
    await expect(refused).rejects.toMatchObject({
      status: 422,
      message: expect.stringContaining(`"${field}"`),
    });
    expect(provider.requests.length).toBe(asked);
  });

  describe('feedback', () => {
    const send = (body: object) =>
      fetch(`${path.url}/v1/feedback`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const liked = { model: 'docs/kapa', answer_id: 'answer-1', reaction: 'upvote' };

    it('reaches whoever keeps the documentation', async () => {
      provider.answers({ body: {} });
      const rows = (await path.ledger()).length;
      const reply = await send({ ...liked, comment: 'Helped.' });
      expect([reply.status, await reply.json()]).toEqual([
        200,
        { answer_id: 'answer-1', reaction: 'upvote' },
      ]);
      expect(provider.requests.at(-1)).toMatchObject({
        path: '/query/v1/feedback/upsert/',
        headers: { 'x-api-key': 'key-of-test' },
        body: { question_answer_id: 'answer-1', reaction: 'upvote', comment: 'Helped.' },
      });
      expect((await path.ledger()).length).toBe(rows);
    });

    it.each([
      [502, { status: 404, body: { detail: 'No such answer.' } }, liked],
      [502, { status: 500, body: '' }, liked],
      [422, { body: {} }, { ...liked, reaction: 'shrug' }],
      [422, { body: {} }, { ...liked, answer_id: '../admin' }],
      [404, { body: {} }, { ...liked, model: 'nowhere' }],
    ])('says %i when it cannot be given', async (status, answer, body) => {
      provider.answers(answer);
      const reply = await send(body);
      expect(reply.status).toBe(status);
      expect(await reply.json()).toMatchObject({ error: { message: expect.any(String) } });
    });
  });
});
