import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * An operator sets up providers of several kinds and routes of every strategy, asks what would happen, and sees that this
 * is what happens.
 */
const firstKey = 'sk-test-first-key-aaaa';
const secondKey = 'sk-test-second-key-bbbb';
const rotatedKey = 'sk-test-rotated-key-cccc';
const terms =
  'Orders can be changed for one hour after they were placed. Refunds are paid within five working days of the return.';

let simulator: Simulator;
let server: RunningServer;
let upstream: string;
const keys: Record<string, string> = {};

const as = (who: string, method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  call(server.url, keys[who] ?? '', method, path, body, headers);
const target = (provider: string, model: string, weight = 1) => ({ provider, model, weight });
const putRoute = async (name: string, body: object) => {
  const reply = await server.call('PUT', `/api/v1/routes/${name}`, body);
  expect(reply.status, reply.text).toBe(200);
  return reply.json;
};
const chat = (who: string, model: string, headers?: Record<string, string>, more: object = {}) =>
  as(
    who,
    'POST',
    '/v1/chat/completions',
    { model, max_tokens: 20, messages: [{ role: 'user', content: 'Hello there' }], ...more },
    headers,
  );
/** The models that answered, in the order in which they did. */
const served = () => simulator.calls().map(({ model }) => model);
const dryRun = async (body: object, who = 'operator') => {
  const reply = await as(who, 'POST', '/api/v1/routes/dry-run', body);
  expect(reply.status, reply.text).toBe(200);
  return reply.json;
};
const order = (run: any) => run.targets.map((one: any) => `${one.provider}/${one.model}`);

beforeAll(async () => {
  simulator = createSimulator({ seed: 5, apiKey: [firstKey, secondKey, rotatedKey] });
  upstream = (await simulator.start()).url;
  server = await startServer();
  for (const slug of ['north', 'south']) {
    await server.call('POST', '/api/v1/tenants', { name: slug, slug, tier: 'starter', region: 'eu' });
    const made = await server.call(
      'POST',
      '/api/v1/keys',
      { name: slug, role: 'admin' },
      { 'x-tenant-id': slug },
    );
    keys[slug] = made.json.key;
  }
  for (const role of ['operator', 'analyst']) {
    const made = await server.call('POST', '/api/v1/keys', { name: role, role });
    keys[role] = made.json.key;
  }
  for (const [name, body] of [
    ['one', { kind: 'openai', base_url: `${upstream}/v1`, api_key: firstKey }],
    [
      'two',
      {
        kind: 'openai-compatible',
        base_url: `${upstream}/v1`,
        api_keys: [{ key: firstKey, weight: 3 }, { key: secondKey }],
        max_concurrent: 50,
        timeouts: { connect_ms: 500, total_ms: 30_000 },
      },
    ],
    ['claude', { kind: 'anthropic', base_url: `${upstream}/v1`, api_key: firstKey }],
  ] as const) {
    const reply = await server.call('POST', '/api/v1/providers', { name, ...body });
    expect(reply.status, reply.text).toBe(201);
  }
});
afterEach(() => simulator.reset());
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('a provider', () => {
  it('is shown with hints and weights of its keys, and never with a key', async () => {
    const { json, text } = await as('operator', 'GET', '/api/v1/providers/two');
    expect(json).toMatchObject({
      kind: 'openai-compatible',
      has_key: true,
      key_hint: 'aaaa',
      keys: [
        { hint: 'aaaa', weight: 3 },
        { hint: 'bbbb', weight: 1 },
      ],
      key_problem: null,
      max_concurrent: 50,
      timeouts: { connect_ms: 500, total_ms: 30_000 },
    });
    const list = await as('operator', 'GET', '/api/v1/providers');
    for (const key of [firstKey, secondKey]) expect(text + list.text).not.toContain(key);
  });

  it('that lacks what its kind needs is refused with every field that is wrong', async () => {
    const refused = async (body: object) => {
      const reply = await server.call('POST', '/api/v1/providers', { name: 'x', ...body });
      expect(reply.status, reply.text).toBe(422);
      return reply.json.errors.map(({ path }: { path: string }) => path);
    };
    expect(await refused({ kind: 'bedrock', project_id: 'p1' })).toEqual([
      'api_key',
      'aws_region',
      'project_id',
    ]);
    expect(await refused({ kind: 'azure', api_key: 'k' })).toEqual(['base_url']);
    expect(await refused({ kind: 'telepathy' })).toEqual(['kind']);
    expect(await refused({ kind: 'openai', api_key: 'k', api_keys: [{ key: 'l' }] })).toEqual(['api_keys']);
    expect(await refused({ kind: 'openai', max_concurrent: 0 })).toEqual(['max_concurrent']);
    expect(await refused({ kind: 'openai', timeouts: { idle_ms: 1e9 } })).toEqual(['timeouts.idle_ms']);
  });

  it('gets a new key in place, while the route to it goes on', async () => {
    const body = { kind: 'openai', base_url: `${upstream}/v1`, max_concurrent: 9 };
    await server.call('POST', '/api/v1/providers', { name: 'rotating', ...body, api_key: firstKey });
    await putRoute('rotating', { tiers: [{ targets: [target('rotating', 'gpt-4o-mini')] }] });
    await chat('operator', 'rotating');
    const kept = await server.call('PUT', '/api/v1/providers/rotating', body);
    expect(kept.json).toMatchObject({ key_hint: 'aaaa', max_concurrent: 9 });
    await chat('operator', 'rotating');
    const put = await server.call('PUT', '/api/v1/providers/rotating', { ...body, api_key: rotatedKey });
    expect(put.json.key_hint).toBe('cccc');
    await chat('operator', 'rotating');
    expect(simulator.calls().map(({ keySuffix, status }) => `${keySuffix} ${status}`)).toEqual([
      'aaaa 200',
      'aaaa 200',
      'cccc 200',
    ]);
    const elsewhere = { ...body, base_url: 'https://elsewhere.example.com/v1' };
    const refused = await server.call('PUT', '/api/v1/providers/rotating', elsewhere);
    expect(refused.status).toBe(422);
    expect(refused.json.errors).toMatchObject([{ path: 'api_key' }]);
  });

  it('shares its calls among its keys', async () => {
    await putRoute('keys', { tiers: [{ targets: [target('two', 'gpt-4o-mini')] }] });
    // With weights 3 and 1 all of forty calls go to one key once in 100,000 runs.
    for (let n = 0; n < 40; n++) await chat('operator', 'keys');
    expect(new Set(simulator.calls().map(({ keySuffix }) => keySuffix))).toEqual(new Set(['aaaa', 'bbbb']));
  });

  it('of a tenant is nothing that another one can see, use or change', async () => {
    const north = { 'x-tenant-id': 'north' };
    const body = { name: 'private', kind: 'openai', base_url: `${upstream}/v1`, api_key: secondKey };
    const made = await server.call('POST', '/api/v1/providers', body, north);
    expect(made.json.scope).toBe('tenant');
    expect((await chat('north', 'private/gpt-4o-mini')).status).toBe(200);
    expect((await chat('south', 'private/gpt-4o-mini')).status).toBe(404);
    for (const name of ['private', made.json.id]) {
      expect((await as('south', 'GET', `/api/v1/providers/${name}`)).status).toBe(404);
      expect((await as('south', 'PUT', `/api/v1/providers/${name}`, body)).status).toBe(404);
      expect((await as('south', 'DELETE', `/api/v1/providers/${name}`)).status).toBe(404);
    }
    expect((await as('south', 'GET', '/api/v1/providers')).text).not.toContain('private');
    const run = await dryRun({ model: 'private/gpt-4o-mini' }, 'south');
    expect(run).toMatchObject({ known: false, targets: [] });
    expect(run.available.providers).not.toContain('private');
  });
});

describe('a strategy', () => {
  const tiers = [{ targets: [target('one', 'gpt-4o'), target('two', 'gpt-4o-mini', 3)] }];

  it('is a route’s own, weighted when it says nothing', async () => {
    expect(await putRoute('plain', { tiers })).toMatchObject({
      strategy: 'weighted',
      cache: { mode: 'off' },
    });
    const cache = { mode: 'exact', ttl_seconds: 60 };
    expect(await putRoute('kept', { tiers, strategy: 'sticky', cache })).toMatchObject({
      strategy: 'sticky',
      cache,
    });
    expect((await server.call('GET', '/api/v1/routes/kept')).json).toMatchObject({
      strategy: 'sticky',
      cache,
    });
    const refused = await server.call('PUT', '/api/v1/routes/x', { tiers, strategy: 'cheapest' });
    expect(refused.json.errors).toMatchObject([{ path: 'strategy' }]);
  });

  it('priority takes the first that is listed, and the next when that fails', async () => {
    await putRoute('priority', { tiers, strategy: 'priority' });
    for (let n = 0; n < 5; n++) await chat('operator', 'priority');
    expect(served()).toEqual(Array(5).fill('gpt-4o'));
    simulator.setFault({ kind: 'server-error', model: 'gpt-4o' });
    const reply = await chat('operator', 'priority');
    expect(reply.status).toBe(200);
    expect(served().at(-1)).toBe('gpt-4o-mini');
  });

  it('lowest_cost takes the cheapest for this call, by the catalogue’s prices', async () => {
    await putRoute('cheap', { tiers, strategy: 'lowest_cost' });
    for (let n = 0; n < 5; n++) await chat('operator', 'cheap');
    expect(served()).toEqual(Array(5).fill('gpt-4o-mini'));
    // 1,000,000 tokens in at $2.50 and $0.15 a million, none out.
    const run = await dryRun({ model: 'cheap', input_tokens: 1_000_000, max_output_tokens: 0 });
    expect(run.targets.map((one: any) => [one.model, one.estimated_cost_usd])).toEqual([
      ['gpt-4o-mini', '0.150000000'],
      ['gpt-4o', '2.500000000'],
    ]);
    expect(run.chosen.decided_by).toEqual({ number: 'cost_usd', value: '0.150000000' });
  });

  it('sticky keeps a session where the dry run says that it goes', async () => {
    const equals = [{ targets: [target('one', 'gpt-4o'), target('two', 'gpt-4o-mini')] }];
    await putRoute('sticky', { tiers: equals, strategy: 'sticky' });
    const first = new Map<string, string>();
    for (let n = 0; n < 30; n++) {
      const run = await dryRun({ model: 'sticky', session: `session ${n}` });
      first.set(`session ${n}`, run.chosen.model);
    }
    // The tenant's id is another one on every run; 30 sessions all go to one of two once in 500 million.
    expect(new Set(first.values()).size).toBe(2);
    for (const [session, model] of [...first].slice(0, 6)) {
      simulator.reset();
      for (let n = 0; n < 3; n++) await chat('operator', 'sticky', { 'x-gatehouse-session': session });
      await chat('operator', 'sticky', {}, { user: session });
      expect(served()).toEqual(Array(4).fill(model));
    }
  });

  it('least_latency takes the one that has answered fastest', async () => {
    const slowAndFast = [{ targets: [target('one', 'gpt-4.1'), target('one', 'gpt-4.1-mini')] }];
    await putRoute('quick', { tiers: slowAndFast, strategy: 'least_latency' });
    expect((await dryRun({ model: 'quick' })).targets[0].latency_ms).toBeNull();
    simulator.setFault({ kind: 'slow-headers', model: 'gpt-4.1', delayMs: 1_000 });
    // What was observed counts, whichever name led there.
    for (const model of ['one/gpt-4.1', 'one/gpt-4.1-mini']) await chat('operator', model);
    const run = await dryRun({ model: 'quick' });
    expect(order(run)).toEqual(['one/gpt-4.1-mini', 'one/gpt-4.1']);
    expect(run.chosen.decided_by).toEqual({ number: 'latency_ms', value: expect.any(String) });
  });
});

describe('a dry run', () => {
  it('tells whose route it is, how bytes get there, what is skipped and what follows', async () => {
    await putRoute('mixed', {
      strategy: 'priority',
      cache: { mode: 'exact' },
      tiers: [
        { targets: [target('claude', 'claude-haiku-4-5'), target('one', 'gpt-4o-mini')] },
        { targets: [target('two', 'no-such-model-of-any-maker')] },
      ],
    });
    const run = await dryRun({ model: 'mixed', dialect: 'openai-chat' }, 'north');
    expect(run).toMatchObject({
      known: true,
      route: { name: 'mixed', scope: 'platform' },
      strategy: 'priority',
      chosen: { provider: 'claude', kind: 'anthropic', tier: 'primary', state: 'ready' },
      available: null,
    });
    expect(run.targets.map((one: any) => [one.tier, one.way, one.estimated_cost_usd === null])).toEqual([
      ['primary', 'translated', false],
      ['primary', 'passed_through', false],
      ['secondary', 'passed_through', true],
    ]);
    expect(run.afterwards.map(({ tier }: { tier: string }) => tier)).toEqual(['cached', 'search_results']);
    const embeddings = await dryRun({ model: 'mixed', dialect: 'openai-embeddings' });
    expect(embeddings.targets[0]).toMatchObject({ state: 'skipped', way: 'not_possible' });
    expect(embeddings.chosen.provider).toBe('one');
    expect(simulator.calls()).toEqual([]);
  });

  it('names what there is when there is no such model', async () => {
    await putRoute('there', { tiers: [{ targets: [target('one', 'gpt-4o-mini')] }] });
    const run = await dryRun({ model: 'theer' });
    expect(run).toMatchObject({ known: false, route: null, chosen: null, targets: [] });
    expect(run.available.routes).toContain('there');
    expect(run.available.providers).toEqual(expect.arrayContaining(['one', 'two', 'claude']));
  });

  it('is for those who may read routes', async () => {
    expect((await as('analyst', 'POST', '/api/v1/routes/dry-run', { model: 'there' })).status).toBe(403);
  });
});

describe('tiers', () => {
  it('are begun with the economical one where the documents hardly speak of the question', async () => {
    await as('north', 'POST', '/api/v1/documents?wait=true', { title: 'Terms', text: terms });
    await putRoute('default', {
      tiers: ['gpt-4o', 'gpt-4.1', 'gpt-4o-mini'].map((model) => ({ targets: [target('one', model)] })),
    });
    const ask = async (query: string) => (await as('north', 'POST', '/api/v1/query', { query })).json;
    const sure = await ask('Within how many working days are refunds paid?');
    expect(sure.generated_by).toMatchObject({ tier: 'primary', model: 'gpt-4o' });
    const unsure = await ask('Who changed the orders of zeppelins, regattas and violins in 1897?');
    expect(unsure.generated_by).toMatchObject({ tier: 'economical', model: 'gpt-4o-mini' });
    const run = await dryRun({ model: 'default', prefer: 'economical' });
    expect(order(run)).toEqual(['one/gpt-4o-mini', 'one/gpt-4o', 'one/gpt-4.1']);
    // When all of them fail, the passages themselves are the answer.
    simulator.setFault({ kind: 'server-error' });
    const quoted = await ask('For how long can orders be changed?');
    expect(quoted.generated_by).toMatchObject({ tier: 'search_results', model: null });
  });
});
