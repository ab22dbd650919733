import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { until } from './harness/child.ts';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from './harness/redis.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * The answer cache as its users meet it: one server by itself, and two servers that share a database and a Redis. Each
 * question is asked of a simulated provider that counts.
 */
let simulator: Simulator;
let providerUrl = '';

beforeAll(async () => {
  simulator = createSimulator({ seed: 11 });
  providerUrl = `${(await simulator.start()).url}/v1`;
});
afterAll(() => simulator.stop());

const question = (content: string, more: object = {}) => ({
  model: 'kept',
  messages: [{ role: 'user', content }],
  ...more,
});
const cacheOf = (reply: Reply) => reply.headers.get('x-gatehouse-cache');
const fault = (kind: 'server-error' | 'slow-headers', delayMs?: number) =>
  simulator.setFault(delayMs === undefined ? { kind } : { kind, delayMs });

/** A tenant with a key for each of two readers, and a route whose answers are kept. */
async function setUp(server: RunningServer, slug: string) {
  const inTenant = { 'x-tenant-id': slug };
  const made = await server.call('POST', '/api/v1/tenants', {
    name: slug,
    slug,
    tier: 'enterprise',
    region: 'eu',
  });
  expect(made.status).toBe(201);
  const keyOf = async (name: string, role: string, groups: string[] = []) => {
    const created = await server.call('POST', '/api/v1/keys', { name, role, groups }, inTenant);
    expect(created.status).toBe(201);
    return created.json.key as string;
  };
  const tenant = {
    admin: await keyOf('admin', 'admin'),
    reader: await keyOf('reader', 'analyst'),
    payroll: await keyOf('payroll', 'analyst', ['payroll']),
  };
  await putRoute(tenant.admin, server, 'gpt-4o-mini');
  return tenant;
}

async function putRoute(
  admin: string,
  server: RunningServer,
  model: string,
  cache: object = { mode: 'exact' },
) {
  const tiers = [{ targets: [{ provider: 'openai', model }] }];
  const put = await call(server.url, admin, 'PUT', '/api/v1/routes/kept', { tiers, cache });
  expect({ status: put.status, text: put.text }).toMatchObject({ status: 200 });
}

describe('one server', () => {
  let server: RunningServer;
  let north: Awaited<ReturnType<typeof setUp>>;
  let south: Awaited<ReturnType<typeof setUp>>;
  const ask = (key: string, body: object, headers: Record<string, string> = {}) =>
    call(server.url, key, 'POST', '/v1/chat/completions', body, headers);

  beforeAll(async () => {
    server = await startServer({ env: { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: providerUrl } });
    north = await setUp(server, 'north');
    south = await setUp(server, 'south');
  });
  afterAll(async () => {
    await server?.stop();
    if (server) await removeDirectory(server.dataDir);
  });

  it('keeps what its route says, and never gives it to another tenant or to a reader with other rights', async () => {
    simulator.reset();
    const body = question('Who shares?');
    const whole = await ask(north.reader, body);
    expect(cacheOf(whole)).toBe('miss');
    expect(cacheOf(await ask(north.reader, body))).toBe('hit');
    for (const other of [north.payroll, north.admin, south.reader, south.payroll]) {
      expect(cacheOf(await ask(other, body))).toBe('miss');
      expect(cacheOf(await ask(other, body))).toBe('hit');
    }
    const streamed = { ...body, stream: true };
    for (const reader of [north.reader, north.payroll, south.reader]) {
      const first = await ask(reader, streamed);
      const again = await ask(reader, streamed);
      expect([cacheOf(first), cacheOf(again)]).toEqual(['miss', 'hit']);
      expect(again.text).toBe(first.text);
    }
    expect(simulator.totals().calls).toBe(8);
  });

  it('gives no answer of a route as it was before', async () => {
    const body = question('Which model is this?');
    await ask(north.reader, body);
    expect(cacheOf(await ask(north.reader, body))).toBe('hit');
    await putRoute(north.admin, server, 'gpt-4o');
    const fresh = await ask(north.reader, body);
    expect([cacheOf(fresh), fresh.json.model]).toEqual(['miss', expect.stringMatching(/^gpt-4o(?!-mini)/)]);
    await putRoute(north.admin, server, 'gpt-4o-mini', { mode: 'off' });
    expect(cacheOf(await ask(north.reader, body))).toBeNull();
    await putRoute(north.admin, server, 'gpt-4o-mini');
  });

  it('shows an admin what it holds and saved, and lets them remove one answer or all', async () => {
    const body = question('What may be removed?');
    const other = question('What may stay?');
    const first = await ask(south.reader, body);
    await ask(south.reader, other);
    await ask(south.reader, other);
    const manage = (key: string, method: string, path = '') =>
      call(server.url, key, method, `/api/v1/cache${path}`);
    const shown = await manage(south.admin, 'GET');
    expect(shown.json).toMatchObject({ entries: expect.any(Number), shared: false });
    expect(shown.json.since_start.hits).toBeGreaterThan(0);
    expect(shown.json.since_start.hit_ratio).toBeGreaterThan(0);
    expect(shown.json.since_start.saved_usd).toMatch(/^0\.0000\d+$/);
    expect(Number(shown.json.since_start.saved_usd)).toBeGreaterThan(0);

    const key = first.headers.get('x-gatehouse-cache-key') ?? '';
    expect((await manage(south.reader, 'DELETE', `/entries/${key}`)).status).toBe(403);
    // A key of another tenant's entry is not there for this one.
    expect((await manage(north.admin, 'DELETE', `/entries/${key}`)).status).toBe(404);
    expect((await manage(south.admin, 'DELETE', `/entries/${key}`)).json).toEqual({ removed: 1 });
    expect((await manage(south.admin, 'DELETE', `/entries/${key}`)).status).toBe(404);
    expect(cacheOf(await ask(south.reader, body))).toBe('miss');
    expect(cacheOf(await ask(south.reader, other))).toBe('hit');

    const northern = question('Untouched?');
    await ask(north.reader, northern);
    expect((await manage(south.admin, 'DELETE')).json.removed).toBeGreaterThan(1);
    expect((await manage(south.admin, 'GET')).json).toMatchObject({ entries: 0, bytes: 0 });
    expect(cacheOf(await ask(south.reader, other))).toBe('miss');
    expect(cacheOf(await ask(north.reader, northern))).toBe('hit');
  });

  it('gives an answer to a question that means the same, also where the key may do nothing but call models', async () => {
    const inTenant = { 'x-tenant-id': 'north' };
    const scoped = await server.call(
      'POST',
      '/api/v1/keys',
      { name: 'app', role: 'analyst', scopes: ['models:call'] },
      inTenant,
    );
    const put = (name: string, model: string, cache: object) => {
      const tiers = [{ targets: [{ provider: 'openai', model }] }];
      return call(server.url, north.admin, 'PUT', `/api/v1/routes/${name}`, { tiers, cache });
    };
    await put('embeddings', 'text-embedding-3-small', { mode: 'off' });
    await put('alike', 'gpt-4o-mini', { mode: 'semantic', similarity_threshold: 0.8 });
    const about = (content: string) => question(content, { model: 'alike' });
    const first = await ask(scoped.json.key, about('How do I reset the password of my account?'));
    const second = await ask(scoped.json.key, about('Please tell me how to reset my account password'));
    expect([cacheOf(first), cacheOf(second)]).toEqual(['miss', 'hit']);
    expect(second.text).toBe(first.text);
    expect(cacheOf(await ask(north.reader, about('Tell me how to reset my account password')))).toBe('miss');
    expect(cacheOf(await ask(scoped.json.key, about('How do I delete my account 2?')))).toBe('miss');
  });

  it('counts for the metrics', async () => {
    const { text } = await server.call('GET', '/metrics');
    for (const line of [
      /^gatehouse_cache_lookups_total\{kind="model",result="hit"\} [1-9]/m,
      /^gatehouse_cache_lookups_total\{kind="model",result="miss"\} [1-9]/m,
      /^gatehouse_cache_hit_age_seconds_count\{kind="model",result="hit"\} [1-9]/m,
      /^gatehouse_cache_saved_usd 0*\.?\d/m,
      /^gatehouse_cache_bytes [1-9]/m,
      /^gatehouse_cache_entries [1-9]/m,
    ]) {
      expect(text).toMatch(line);
    }
  });
});

if (!redisIsInstalled) console.error(redisMissing);

describe.skipIf(!redisIsInstalled)('two servers with a Redis', () => {
  let database: TestDatabase;
  let redis: TestRedis;
  let servers: RunningServer[] = [];
  let tenant: Awaited<ReturnType<typeof setUp>>;
  const ask = (server: RunningServer | undefined, body: object, headers: Record<string, string> = {}) =>
    call(server?.url ?? '', tenant.reader, 'POST', '/v1/chat/completions', body, headers);

  beforeAll(async () => {
    database = await createTestDatabase();
    redis = await startRedis();
    const env = {
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: providerUrl,
      DATABASE_URL: database.url,
      GATEHOUSE_MASTER_KEY: randomBytes(32).toString('base64'),
      REDIS_URL: redis.url,
      // On a busy machine a quick Redis may be slow; what happens then is tested by itself.
      REDIS_TIMEOUT_MS: '5000',
    };
    // One after the other: the first one makes what both need in the database.
    servers = [await startServer({ env }), await startServer({ env })];
    const [a, b] = servers as [RunningServer, RunningServer];
    tenant = await setUp(a, 'acme');
    await until(async () => (await ask(b, question('Is it known here?'))).status === 200);
  });
  afterAll(async () => {
    for (const server of servers) {
      await server.stop();
      await removeDirectory(server.dataDir);
    }
    await redis?.stop();
    await database?.drop();
  });

  it.each([false, true])('give each other’s answers, streamed: %s', async (stream) => {
    const [a, b] = servers;
    const body = question(`Shared, streamed ${stream}?`, { stream });
    const first = await ask(a, body);
    const second = await ask(b, body);
    expect([cacheOf(first), cacheOf(second)]).toEqual(['miss', 'hit']);
    expect(second.text).toBe(first.text);
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
  });

  it.each([false, true])('make one call of 100 at once, streamed: %s', async (stream) => {
    simulator.reset();
    fault('slow-headers', 500);
    const body = question(`All at once, streamed ${stream}?`, { stream });
    const replies = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(servers[n % 2], body)));
    simulator.reset();
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
    expect(replies.map(cacheOf).filter((state) => state === 'miss')).toHaveLength(1);
  });

  it('forget on both what is removed on one', async () => {
    const [a, b] = servers;
    const body = question('Removed on both?');
    const first = await ask(a, body);
    expect(cacheOf(await ask(b, body))).toBe('hit');
    const key = first.headers.get('x-gatehouse-cache-key') ?? '';
    expect((await call(b?.url ?? '', tenant.admin, 'DELETE', `/api/v1/cache/entries/${key}`)).status).toBe(
      200,
    );
    await until(async () => cacheOf(await ask(a, body)) === 'miss');
    await call(a?.url ?? '', tenant.admin, 'DELETE', '/api/v1/cache');
    await until(async () => cacheOf(await ask(b, body)) === 'miss');
  });

  it('go on without Redis, and with it again', async () => {
    const [a, b] = servers;
    const body = question('Is Redis there?');
    await ask(a, body);
    await redis.kill();
    // Each serves its own copies until it has noticed.
    for (const server of [a, b]) {
      await until(async () => {
        const reply = await ask(server, body);
        expect(reply.status).toBe(200);
        return cacheOf(reply) === 'miss';
      });
    }
    await redis.startAgain();
    await until(async () => {
      await ask(a, body);
      return cacheOf(await ask(b, body)) === 'hit';
    });
    for (const server of servers) expect(server.output().stderr).not.toContain(redis.password);
  });
});
