import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { simulators, testKey } from '../testing.ts';

const start = simulators();
const project = '11111111-2222-4333-8444-555555555555';

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(`${url}/query/v1/${path}`, {
      method: 'POST',
      headers: { 'x-api-key': testKey, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  return { simulator, post };
}

interface Answer {
  readonly answer: string;
  readonly thread_id: string;
  readonly question_answer_id: string;
  readonly is_uncertain: boolean;
  readonly relevant_sources: readonly object[];
}
interface Chunk {
  readonly type: string;
  readonly content: {
    readonly text?: string;
    readonly relevant_sources?: object[];
    readonly reason?: string;
  };
  readonly stream_end: boolean;
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
const query = 'How do I get started?';

async function chunksOf(response: Response): Promise<Chunk[]> {
  const text = await response.text();
  return text
    .split('\u241E')
    .filter((part) => part !== '')
    .map((part) => (JSON.parse(part) as { chunk: Chunk }).chunk);
}

test('a question is answered with sources and ids, and the same streamed in chunks', async () => {
  const { post, simulator } = await started();
  const whole = (await (await post(`projects/${project}/chat/`, { query })).json()) as Answer;
  expect(whole).toMatchObject({
    answer: expect.stringContaining('You wrote: How do I get started?'),
    thread_id: expect.stringMatching(uuid),
    question_answer_id: expect.stringMatching(uuid),
    is_uncertain: false,
  });
  expect(whole.relevant_sources[0]).toMatchObject({
    source_url: expect.any(String),
    title: expect.any(String),
  });
  const response = await post(`projects/${project}/chat/stream/`, { query });
  expect(response.headers.get('content-type')).toBe('application/json');
  const chunks = await chunksOf(response);
  const order = chunks.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
  expect(order).toEqual(['partial_answer', 'relevant_sources', 'metadata', 'identifiers']);
  expect(chunks.map(({ content }) => content.text ?? '').join('')).toBe(whole.answer);
  expect(chunks.map(({ stream_end: end }) => end)).toEqual(
    chunks.map((_, index) => index === chunks.length - 1),
  );
  expect(simulator.calls()[1]).toMatchObject({
    wire: 'kapa-chat',
    model: project,
    keySuffix: testKey.slice(-4),
    billed: { questions: 1 },
    usage: null,
  });
});

test('a thread goes on with what was said, and an answer takes feedback', async () => {
  const { post, simulator } = await started();
  const first = (await (await post(`projects/${project}/chat/`, { query })).json()) as Answer;
  const path = `threads/${first.thread_id}/chat/`;
  const second = (await (await post(path, { query: 'And then?' })).json()) as Answer;
  expect(second.thread_id).toBe(first.thread_id);
  expect(second.question_answer_id).not.toBe(first.question_answer_id);
  expect(simulator.calls()[1]?.model).toBe(project);
  const byPath = await post(`question-answers/${second.question_answer_id}/feedback/`, {
    reaction: 'upvote',
  });
  const upsert = { question_answer_id: second.question_answer_id, reaction: 'downvote' };
  expect([byPath.status, (await post('feedback/upsert/', upsert)).status]).toEqual([200, 200]);
  expect((await post('feedback/upsert/', { ...upsert, question_answer_id: project })).status).toBe(404);
  expect((await post(`threads/${project}/chat/`, { query })).status).toBe(404);
});

test('what is not in the sources is uncertain', async () => {
  const { post } = await started();
  const answer = (await (
    await post(`projects/${project}/chat/`, { query: 'Something unanswerable?' })
  ).json()) as Answer;
  expect(answer).toMatchObject({ is_uncertain: true, relevant_sources: [] });
});

test('refusals are details; event streams are not acceptable; an error may come in a stream', async () => {
  const { post, simulator } = await started();
  const path = `projects/${project}/chat/`;
  expect((await post(path, { query }, { 'x-api-key': 'sk-test-wrong' })).status).toBe(401);
  expect((await post(path, { query }, { accept: 'text/event-stream' })).status).toBe(406);
  expect(await (await post(path, {})).json()).toEqual({ query: ['This field is required.'] });
  simulator.setFault({ kind: 'rate-limited', retryAfterS: 12, times: 1 });
  const limited = await post(path, { query });
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '12']);
  expect(await limited.json()).toEqual({
    detail: 'Request was throttled. Expected available in 12 seconds.',
  });
  simulator.setFault({ kind: 'error-event', afterChunks: 2 });
  const chunks = await chunksOf(await post(`${path}stream/`, { query }));
  expect(chunks.at(-1)).toMatchObject({ type: 'error', content: { reason: expect.any(String) } });
});
