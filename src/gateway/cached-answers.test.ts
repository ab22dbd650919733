import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { gathered, hello, modelPathSuite, post } from '../../test/harness/model-path-suite.ts';
import { type AnswerStore, createAnswerStore, createModelAnswers } from '../cache/index.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { createMetrics } from '../platform/metrics.ts';

const { simulator, start } = modelPathSuite();

/** A model path with a cache, and a clock that can be put forward for the cache alone. */
async function cached(options: Parameters<typeof start>[0] = {}, known?: AnswerStore) {
  let aheadMs = 0;
  const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + aheadMs) };
  const store =
    known ?? createAnswerStore({ clock, random: { fraction: () => 0 }, metrics: createMetrics() });
  const cache = createModelAnswers({
    store,
    clock,
    async embed(caller, text) {
      const asked = { model: 'sim/text-embedding-3-small', inputs: [text] };
      const { vectors, model } = await path.gateway.models.embed(caller, asked);
      return vectors[0] ? { vector: vectors[0], model } : null;
    },
  });
  const path: ModelPath = await start({ ...options, hooks: { cache, ...options.hooks } });
  return {
    path,
    store,
    ask: (body: object = hello, headers: Record<string, string> = exact) => post(path, body, headers),
    pass: (ms: number) => {
      aheadMs += ms;
    },
  };
}

const exact = { 'x-gatehouse-cache': 'exact' };
const cacheOf = (response: Response) => response.headers.get('x-gatehouse-cache');

describe('a cached answer', () => {
  it('is the same to the byte, tells where it came from, and costs nothing', async () => {
    const { path, ask } = await cached();
    const first = await ask();
    expect(cacheOf(first)).toBe('miss');
    expect(first.headers.get('age')).toBeNull();
    const body = await first.text();
    const second = await ask();
    expect(await second.text()).toBe(body);
    expect(cacheOf(second)).toBe('hit');
    expect(second.headers.get('age')).toBe('0');
    expect(second.headers.get('x-gatehouse-cache-key')).toMatch(/^[0-9a-f]{64}$/);
    expect(second.headers.get('x-gatehouse-cache-key')).toBe(first.headers.get('x-gatehouse-cache-key'));
    expect(second.headers.get('x-gatehouse-generated-by')).toBe(
      'tier=cached; provider=sim; model=gpt-4o-mini',
    );
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(simulator.totals().calls).toBe(1);
    const rows = await path.ledger();
    expect(rows.filter(({ attempts }) => attempts !== 0)).toHaveLength(1);
  });

  it('is a stream again for who asked for a stream', async () => {
    const { path, ask } = await cached();
    const body = { ...hello, stream: true };
    const first = await ask(body);
    const text = await first.text();
    const second = await ask(body);
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect([cacheOf(first), cacheOf(second)]).toEqual(['miss', 'hit']);
    expect(await second.text()).toBe(text);
    expect(text).toMatch(/\n\ndata: \[DONE\]\n\n$/);
    const client = new OpenAI({ apiKey: 'x', baseURL: `${path.url}/v1`, defaultHeaders: exact });
    const chunks = await gathered(await client.chat.completions.create({ ...body, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('').length).toBeGreaterThan(5);
    expect(simulator.totals().calls).toBe(1);
    // A whole reply is another answer.
    expect(cacheOf(await ask())).toBe('miss');
  });

  it('is found however the request is written down, and not for another request', async () => {
    const { ask } = await cached();
    await ask({ model: 'fast', messages: [{ role: 'user', content: 'Hello there' }], temperature: 0.5 });
    const same = [
      '{"temperature":5e-1,"messages":[{"content":"Hello \\u0074here","role":"user"}],\n"model":"fast"}',
      '{"user":"u1","metadata":{"a":"b"},"stream":false,"temperature":0.5,"messages":[{"content":"Hello there","role":"user"}],"model":"fast"}',
    ];
    for (const body of same) expect(cacheOf(await ask(JSON.parse(body)))).toBe('hit');
    const others = [
      { ...hello, temperature: 0.6 },
      { ...hello, temperature: 0.5, seed: 1 },
      { ...hello, temperature: 0.5, something_new: true },
      { ...hello, temperature: 0.5, messages: [{ role: 'user', content: 'Hello there ' }] },
      { ...hello, temperature: 0.5, messages: [{ role: 'system', content: 'x' }, ...hello.messages] },
    ];
    for (const body of others) expect(cacheOf(await ask(body))).toBe('miss');
  });

  it('is not given after its time, and made anew', async () => {
    const { ask, pass } = await cached();
    await ask();
    pass(3_599_000);
    const late = await ask();
    expect([cacheOf(late), late.headers.get('age')]).toEqual(['hit', '3599']);
    pass(1_000);
    expect(cacheOf(await ask())).toBe('miss');
    expect(cacheOf(await ask())).toBe('hit');
  });
});

describe('what a caller says of the cache', () => {
  it('is done: not at all, only write, or nothing unless asked', async () => {
    const { ask } = await cached();
    const plain = await ask(hello, {});
    expect(cacheOf(plain)).toBeNull();
    expect(cacheOf(await ask(hello, { 'x-gatehouse-cache': 'off' }))).toBe('off');
    expect(cacheOf(await ask(hello, { ...exact, 'cache-control': 'no-store' }))).toBe('off');
    expect(cacheOf(await ask())).toBe('miss');
    expect(cacheOf(await ask(hello, { 'x-gatehouse-cache': 'off' }))).toBe('off');
    expect(cacheOf(await ask(hello, { ...exact, 'cache-control': 'max-age=0, no-cache' }))).toBe('miss');
    expect(cacheOf(await ask())).toBe('hit');
    expect(simulator.totals().calls).toBe(6);
  });

  it('must be a word that there is', async () => {
    const { ask } = await cached();
    const response = await ask(hello, { 'x-gatehouse-cache': 'yes' });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('must be \\"off\\" or \\"exact\\"');
  });

  it('cannot make what has an effect at the provider into something that is not done', async () => {
    const { ask } = await cached();
    for (let n = 0; n < 2; n++) expect(cacheOf(await ask({ ...hello, store: true }))).toBe('off');
    expect(simulator.totals().calls).toBe(2);
  });
});

describe('what is not a good answer', () => {
  it.each(['server-error', 'rate-limited', 'html-error'] as const)('is not kept: %s', async (kind) => {
    const { ask, store } = await cached();
    simulator.setFault({ kind });
    expect((await ask()).status).toBeGreaterThanOrEqual(400);
    simulator.reset();
    // A server beside it, which has met no failure.
    const other = await cached({}, store);
    expect(cacheOf(await other.ask())).toBe('miss');
    expect(cacheOf(await other.ask())).toBe('hit');
  });

  it('is not kept when a stream breaks off', async () => {
    const { ask } = await cached();
    simulator.setFault({ kind: 'cut-mid-stream', times: 1 });
    const broken = await (await ask({ ...hello, stream: true })).text().catch(() => 'broken');
    expect(broken).not.toContain('[DONE]');
    const whole = await ask({ ...hello, stream: true });
    expect(cacheOf(whole)).toBe('miss');
    expect(await whole.text()).toContain('[DONE]');
  });

  it.each([
    ['server-error', false],
    ['server-error', true],
    ['rate-limited', false],
    ['rate-limited', true],
  ] as const)('gives way to an old one when every provider fails: %s, streamed: %s', async (kind, stream) => {
    const { path, ask, pass } = await cached();
    const body = { ...hello, stream };
    const text = await (await ask(body)).text();
    pass(3_700_000);
    simulator.setFault({ kind });
    const stale = await ask(body);
    expect({ status: stale.status, cache: cacheOf(stale) }).toEqual({ status: 200, cache: 'stale' });
    expect(stale.headers.get('x-gatehouse-generated-by')).toBe(
      'tier=cached; provider=sim; model=gpt-4o-mini',
    );
    expect(Number(stale.headers.get('age'))).toBeGreaterThanOrEqual(3_700);
    expect(await stale.text()).toBe(text);
    // What was tried is in the ledger all the same.
    expect((await path.ledger()).some(({ status }) => status === 'error')).toBe(true);
  });
});

describe('equal calls at once', () => {
  it.each([false, true])('make one call upstream, streamed: %s', async (stream) => {
    const { ask } = await cached();
    simulator.setFault({ kind: 'slow-headers', delayMs: 200 });
    const responses = await Promise.all(Array.from({ length: 100 }, () => ask({ ...hello, stream })));
    const texts = await Promise.all(responses.map((response) => response.text()));
    expect(new Set(texts).size).toBe(1);
    expect(responses.map(cacheOf).filter((state) => state === 'miss')).toHaveLength(1);
    expect(simulator.totals().calls).toBe(1);
  });

  it('go on with another one when the first leaves', async () => {
    const { path, ask } = await cached();
    simulator.setFault({ kind: 'slow-headers', delayMs: 300 });
    const leaving = new AbortController();
    const first = post(path, hello, exact, leaving.signal).catch(() => 'left');
    while (simulator.calls().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const others = Array.from({ length: 10 }, () => ask());
    leaving.abort();
    expect(await first).toBe('left');
    for (const response of await Promise.all(others)) expect(response.status).toBe(200);
    expect(simulator.calls().length).toBe(2);
  });
});

describe('an answer by meaning', () => {
  const semantic = (similarityThreshold: number) => ({
    routes: {
      fast: {
        tiers: [[{ provider: 'sim', model: 'gpt-4o-mini' }]],
        cache: { mode: 'semantic' as const, similarityThreshold },
      },
    },
  });
  const question = (content: string, more: object = {}) => ({
    model: 'fast',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content },
    ],
    ...more,
  });
  const asked = 'How do I reset the password of my account?';
  const similar = 'Please tell me how to reset my account password';

  it.each([false, true])('is given to a question that means the same, streamed: %s', async (stream) => {
    const { ask } = await cached(semantic(0.8));
    const first = await ask(question(asked, { stream }), {});
    const text = await first.text();
    const second = await ask(question(similar, { stream }), {});
    expect([cacheOf(first), cacheOf(second)]).toEqual(['miss', 'hit']);
    expect(await second.text()).toBe(text);
    expect(Number(second.headers.get('x-gatehouse-cache-similarity'))).toBeGreaterThanOrEqual(0.8);
    expect(second.headers.get('x-gatehouse-cache-key')).toBe(first.headers.get('x-gatehouse-cache-key'));
    // In its very words it is found without asking what it means.
    const embeddings = () => simulator.calls().filter(({ path }) => path.endsWith('/embeddings')).length;
    const before = embeddings();
    expect(cacheOf(await ask(question(asked, { stream }), {}))).toBe('hit');
    expect(embeddings()).toBe(before);
  });

  it('is not given to another question, behind another wall, or to who wants the very words', async () => {
    const { ask } = await cached(semantic(0.8));
    await ask(question(asked), {});
    expect(cacheOf(await ask(question('Which harbours are open in winter?'), {}))).toBe('miss');
    expect(cacheOf(await ask(question(similar, { temperature: 0.1 }), {}))).toBe('miss');
    expect(cacheOf(await ask(question(`${similar}!`, { stream: true }), {}))).toBe('miss');
    const history = { messages: [{ role: 'user', content: similar }] };
    expect(cacheOf(await ask(question('', history), {}))).toBe('miss');
    expect(cacheOf(await ask(question(similar)))).toBe('miss');
  });

  it('is not given below the threshold, nor once it was removed', async () => {
    const strict = await cached(semantic(0.999));
    await strict.ask(question(asked), {});
    expect(cacheOf(await strict.ask(question(similar), {}))).toBe('miss');
    const { path, store, ask } = await cached(semantic(0.8));
    const first = await ask(question(asked), {});
    await store.removeEntry(path.principal.tenantId, first.headers.get('x-gatehouse-cache-key') ?? '');
    expect(cacheOf(await ask(question(similar), {}))).toBe('miss');
    await store.removeTenant(path.principal.tenantId);
    expect(cacheOf(await ask(question(asked), {}))).toBe('miss');
  });

  it('is looked for in the very words only while the embedding model fails', async () => {
    const { ask } = await cached(semantic(0.8));
    simulator.setFault({ kind: 'server-error', path: '/v1/embeddings' });
    expect((await ask(question(asked), {})).status).toBe(200);
    expect(cacheOf(await ask(question(asked), {}))).toBe('hit');
    expect(cacheOf(await ask(question(similar), {}))).toBe('miss');
  });
});

describe('answers made in this process', () => {
  it('are not cached unless their route says so', async () => {
    const { path } = await cached();
    const caller = { principal: path.principal, correlationId: 'c' };
    for (let n = 0; n < 2; n++)
      await path.gateway.models.chat(caller, { model: 'fast', messages: hello.messages });
    expect(simulator.totals().calls).toBe(2);
  });
});
