import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../test/harness/redis.ts';
import type { Reply } from '../../test/harness/requests.ts';
import { type RetrievalServer, startRetrievalServer } from '../../test/harness/retrieval.ts';
import { createSimulator } from '../../tools/simulator/server.ts';
import { type AnswerStore, createAnswerStore, createRedisLevel } from '../cache/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createRedis } from '../platform/redis.ts';

if (!redisIsInstalled) console.error(redisMissing);

const question = 'When are refunds paid?';
const terms = 'Refunds are paid within five working days of the return. Shipping is never refunded.';

interface Kept {
  readonly store: AnswerStore;
  stop(): Promise<void>;
}

async function keptHere(ttlMs?: number): Promise<Kept> {
  const store = createAnswerStore({
    clock: systemClock,
    // Nothing is due before its time.
    random: { fraction: () => 0 },
    metrics: createMetrics(),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  });
  store.start();
  return { store, stop: () => store.stop() };
}

async function keptInRedis(): Promise<Kept> {
  const redis: TestRedis = await startRedis();
  const log = createLog('silent');
  const link = createRedis({ url: redis.url, clock: systemClock, log, timeoutMs: 2_000 });
  const store = createAnswerStore({
    clock: systemClock,
    random: { fraction: () => 0 },
    metrics: createMetrics(),
    shared: (memory, { redisFailure }) =>
      createRedisLevel({
        redis: link,
        memory,
        clock: systemClock,
        newId: createIds(systemClock, systemRandom),
        log,
        maxBytesPerTenant: 1_000_000,
        onFailure: redisFailure,
      }),
  });
  await link.start();
  store.start();
  return {
    store,
    async stop() {
      await store.stop();
      await link.stop();
      await redis.stop();
    },
  };
}

const simulator = createSimulator({ seed: 7, apiKey: 'sk-test-upstream' });
let providerUrl: string;
beforeAll(async () => {
  providerUrl = `${(await simulator.start()).url}/v1`;
});
afterAll(() => simulator.stop());
afterEach(() => simulator.reset());

async function serverWith(kept: Kept): Promise<RetrievalServer> {
  const server = await startRetrievalServer({ providerUrl, cache: kept.store });
  for (const tenant of ['one', 'two']) {
    const admin = await server.keyIn(tenant, 'admin');
    const tiers = [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }];
    const reply = await server.request(admin, 'PUT', '/routes/default', { tiers });
    expect(reply.status).toBe(200);
  }
  return server;
}

describe.each([
  { where: 'in this process', begin: () => keptHere() },
  ...(redisIsInstalled ? [{ where: 'in Redis', begin: keptInRedis }] : []),
])('an answer kept $where', ({ begin }) => {
  let kept: Kept;
  let server: RetrievalServer;
  beforeAll(async () => {
    kept = await begin();
    server = await serverWith(kept);
  });
  afterAll(async () => {
    await server?.stop();
    await kept?.stop();
  });
  afterEach(() => kept.store.removeTenant(server.tenantId('one')));

  const ask = (key: string, query = question, headers = {}): Promise<Reply> =>
    server.request(key, 'POST', '/query', { query }, headers);
  const modelCalls = () => simulator.calls().length;
  const withoutId = ({ json }: Reply) => ({ ...json, correlation_id: '' });

  it('is given again to whoever reads the same, names its model, and costs nothing', async () => {
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Terms', terms);
    const first = await ask(operator);
    expect(first.json).toMatchObject({ covered: true, generated_by: { tier: 'primary' } });
    expect(first.headers['x-gatehouse-cache']).toBe('miss');
    const second = await ask(operator);
    expect(modelCalls()).toBe(1);
    expect(second.headers).toMatchObject({ 'x-gatehouse-cache': 'hit', age: expect.stringMatching(/^\d+$/) });
    expect(withoutId(second)).toEqual({
      ...withoutId(first),
      generated_by: { ...first.json.generated_by, tier: 'cached' },
      usage: { input_tokens: 0, output_tokens: 0, embedding_tokens: 0 },
      cost_usd: '0',
    });

    const streamed = await server.request(operator, 'POST', '/query', { query: question, stream: true });
    expect(modelCalls()).toBe(1);
    expect(streamed.text).toContain('event: citation');
    const told = [...streamed.text.matchAll(/event: delta\ndata: (.*)/g)].map(([, data]) =>
      JSON.parse(data ?? ''),
    );
    expect(told.map(({ text }) => text).join('')).toBe(first.json.answer);
    expect(JSON.parse(/event: done\ndata: (.*)/.exec(streamed.text)?.[1] ?? '')).toMatchObject({
      generated_by: { tier: 'cached' },
    });
  });

  it('is not looked up, or not kept, for a caller who says so', async () => {
    const operator = await server.keyIn('one', 'operator');
    for (const headers of [{ 'x-gatehouse-cache': 'off' }, { 'cache-control': 'no-store' }]) {
      await ask(operator, question, headers);
      const reply = await ask(operator, question, headers);
      expect(reply.headers['x-gatehouse-cache']).toBeUndefined();
    }
    expect(modelCalls()).toBe(4);
    await ask(operator);
    await ask(operator, question, { 'cache-control': 'no-cache' });
    expect(modelCalls()).toBe(6);
    await ask(operator);
    expect(modelCalls()).toBe(6);
    expect((await ask(operator, question, { 'x-gatehouse-cache': 'maybe' })).status).toBe(400);
  });

  it('is never another tenant’s, nor another reader’s', async () => {
    const everyone = await server.keyIn('one', 'analyst');
    const sales = await server.keyIn('one', 'analyst', ['sales']);
    const stranger = await server.keyIn('two', 'admin');
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Rebates', 'Rebates are paid in the third quarter.', {
      acl: { groups: ['sales'] },
    });
    await server.add(stranger, 'Rebates', 'Rebates are paid by cheque.');
    const query = 'When are rebates paid?';
    const answers = [];
    for (const key of [sales, everyone, stranger, sales, everyone, stranger])
      answers.push(await ask(key, query));
    const texts = answers.map(({ json }) => json.answer);
    expect(texts[0]).toContain('third quarter');
    expect(texts[1]).not.toContain('third quarter');
    expect(texts[2]).toContain('cheque');
    expect(texts.slice(3)).toEqual(texts.slice(0, 3));
  });

  it('is not given when a document behind it was re-permissioned, changed, added or deleted since', async () => {
    const admin = await server.keyIn('one', 'admin');
    const reader = await server.keyIn('one', 'analyst', ['reader']);
    const query = 'What is the launch date of Aurora?';
    const id = await server.add(admin, 'Aurora', 'The launch date of Aurora is the fifth of May.');
    expect((await ask(reader, query)).json.answer).toContain('fifth of May');
    expect((await ask(reader, query)).json.generated_by.tier).toBe('cached');

    const acl = (groups: string[]) => server.request(admin, 'PUT', `/documents/${id}/acl`, { groups });
    expect((await acl(['board'])).status).toBe(200);
    expect((await ask(reader, query)).json.answer).not.toContain('fifth of May');
    expect((await acl(['reader'])).status).toBe(200);
    expect((await ask(reader, query)).json.answer).toContain('fifth of May');

    const changed = await server.request(admin, 'PUT', `/documents/${id}?wait=true`, {
      text: 'The launch date of Aurora is the ninth of June.',
    });
    expect(changed.status).toBe(200);
    expect((await ask(reader, query)).json.answer).toContain('ninth of June');

    const before = modelCalls();
    const added = await server.add(admin, 'Borealis', 'The launch date of Borealis is unknown.');
    await ask(reader, query);
    expect(modelCalls()).toBe(before + 1);

    const deleted = await server.request(admin, 'DELETE', `/documents/${id}`);
    expect(deleted.status).toBe(200);
    expect(deleted.json.places).toContainEqual({
      place: 'cached_answers',
      removed: expect.any(Number),
      found: 0,
    });
    const after = await ask(reader, query);
    expect(after.json.answer).not.toContain('ninth of June');
    expect(JSON.stringify(after.json.citations)).not.toContain(id);
    await server.request(admin, 'DELETE', `/documents/${added}`);
  });

  it('is made once for a hundred who ask at once', async () => {
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Shipping', 'Shipping is refunded in no case.');
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => ask(operator, 'Is shipping refunded?')),
    );
    expect(modelCalls()).toBe(1);
    expect(new Set(answers.map(({ json }) => json.answer)).size).toBe(1);
    expect(answers.filter(({ json }) => json.generated_by.tier === 'primary')).toHaveLength(1);
  });
});

describe('an answer past its time', () => {
  it('stands in while the model fails, and passages do where there is none', async () => {
    const kept = await keptHere(1);
    const server = await serverWith(kept);
    try {
      const operator = await server.keyIn('one', 'operator');
      await server.add(operator, 'Terms', terms);
      const ask = () => server.request(operator, 'POST', '/query', { query: question });
      const first = await ask();
      expect(first.json.generated_by.tier).toBe('primary');
      simulator.setFault({ kind: 'server-error' });
      const second = await ask();
      expect(second.json).toMatchObject({
        answer: first.json.answer,
        generated_by: { tier: 'cached', model: first.json.generated_by.model },
        warnings: [expect.stringContaining('earlier answer')],
      });
      expect(second.headers['x-gatehouse-cache']).toBe('stale');

      await server.add(operator, 'News', 'Nothing new about refunds.');
      expect((await ask()).json.generated_by.tier).toBe('search_results');
    } finally {
      await server.stop();
      await kept.stop();
    }
  });
});
