import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * A program that was written for version 1 learns that its list of calls has a successor, and changes over; another one
 * pins a version once and never writes it into a path again.
 */
let simulator: Simulator;
let server: RunningServer;
let key: string;
const ask = (path: string, headers: Record<string, string> = {}) =>
  call(server.url, key, 'GET', path, undefined, headers);

beforeAll(async () => {
  simulator = createSimulator({ seed: 5 });
  const upstream = await simulator.start();
  server = await startServer();
  await server.call('POST', '/api/v1/providers', {
    name: 'sim',
    kind: 'openai',
    base_url: `${upstream.url}/v1`,
  });
  await server.call('PUT', '/api/v1/routes/fast', {
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
  });
  key = (await server.call('POST', '/api/v1/keys', { name: 'app', role: 'admin' })).json.key;
  for (const tag of ['blue', 'red', 'blue']) {
    const reply = await call(
      server.url,
      key,
      'POST',
      '/v1/chat/completions',
      { model: 'fast', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 10 },
      { 'x-gatehouse-tags': tag, 'cache-control': 'no-store' },
    );
    expect(reply.status).toBe(200);
    expect(reply.headers.get('x-api-version')).toBe('1');
  }
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('a program of version 1', () => {
  it('goes on working, and is told since when and until when, and where to go', async () => {
    const old = await ask('/api/v1/costs/ledger');
    expect(old.json.calls).toHaveLength(3);
    expect(old.headers.get('deprecation')).toMatch(/^@\d+$/);
    expect(Date.parse(old.headers.get('sunset') ?? '')).toBeGreaterThan(Date.now());
    const [, successor] = /<([^>]+)>; rel="successor-version"/.exec(old.headers.get('link') ?? '') ?? [];
    const next = await ask(successor ?? '');
    expect(next.headers.get('x-api-version')).toBe('2');
    expect(next.headers.has('deprecation')).toBe(false);
    expect(next.json.data.map(({ id }: { id: string }) => id)).toEqual(
      old.json.calls.map(({ id }: { id: string }) => id),
    );
    const [before] = old.json.calls;
    expect(next.json.data[0]).toMatchObject({
      cost: { charged: { amount: before.cost_usd, currency: 'USD' }, pricing: before.pricing_state },
      usage: { input: { tokens: before.input_tokens }, output: { tokens: before.output_tokens } },
      caller: { tags: before.tags, key_id: before.key_id },
      target: { provider: 'sim', route: 'fast' },
    });
  });
});

describe('the ledger of version 2', () => {
  const tagsOf = async (query: string) => {
    const { json } = await ask(`/api/v2/costs/ledger?${query}`);
    return json.data.map(({ caller }: { caller: { tags: string[] } }) => caller.tags[0]);
  };

  it('finds by what version 1 could not be asked for', async () => {
    expect(await tagsOf('tag=blue')).toEqual(['blue', 'blue']);
    expect(await tagsOf('tag=blue&model=another')).toEqual([]);
    expect(await tagsOf('provider=sim&route=fast&status=ok&pricing=priced')).toHaveLength(3);
    expect(await tagsOf('status=error')).toEqual([]);
    expect(await tagsOf('from=2000-01-01&to=2000-02-01')).toEqual([]);
    expect((await ask('/api/v2/costs/ledger?from=2000-01-01&to=2020-01-01')).status).toBe(422);
  });

  it('goes on at its cursor, with the same filters', async () => {
    const first = await ask('/api/v2/costs/ledger?limit=1&tag=blue');
    const second = await ask(`/api/v2/costs/ledger?limit=1&tag=blue&cursor=${first.json.next_cursor}`);
    expect(second.json.data).toHaveLength(1);
    expect(second.json.data[0].caller.tags).toEqual(['blue']);
    expect(second.json.data[0].id).not.toBe(first.json.data[0].id);
  });
});

describe('a version without a version in the path', () => {
  it('is pinned by a header for everything, whatever has changed in it and whatever has not', async () => {
    const pinned = { 'x-api-version': '2' };
    expect((await ask('/api/costs/ledger', pinned)).json.data).toHaveLength(3);
    const documents = await ask('/api/documents', pinned);
    expect({ status: documents.status, version: documents.headers.get('x-api-version') }).toEqual({
      status: 200,
      version: '2',
    });
    expect((await ask('/api/costs/ledger')).json.calls).toHaveLength(3);
    const accepted = await ask('/api/costs/ledger', { accept: 'application/json;version=2' });
    expect(accepted.json.data).toHaveLength(3);
  });

  it('that is not offered is refused with those that are', async () => {
    for (const reply of [
      await ask('/api/costs/ledger', { 'x-api-version': '9' }),
      await ask('/api/v1/costs/ledger', { 'x-api-version': '2' }),
      await ask('/api/v9/costs/ledger'),
    ]) {
      expect(reply.status).toBe(400);
      expect(reply.json.detail).toContain('Offered are versions 1 and 2.');
    }
  });

  it('is in the list of versions, and each has its document', async () => {
    const { versions } = (await ask('/api/versions')).json;
    expect(versions.map(({ version }: { version: string }) => version)).toEqual(['1', '2']);
    for (const { openapi, base } of versions) {
      const { paths } = (await ask(openapi)).json;
      expect(Object.keys(paths)).toContain(`${base}/costs/ledger`);
      expect(Object.keys(paths)).toContain(`${base}/documents`);
    }
  });
});
