import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/* A member of documents' metadata that only the role `payroll` and administrators read, wherever metadata goes. */
let simulator: Simulator;
let server: RunningServer;
const keys: Record<string, string> = {};
let id: string;

const as = (who: string, method: string, path: string, body?: unknown): Promise<Reply> =>
  call(server.url, keys[who] ?? '', method, path, body);
const text = 'The harbour master keeps the tide tables, and the keeper trims the lamp at dusk.';
const metadata = { salary: 90_000, office: 'harbour' };

beforeAll(async () => {
  simulator = createSimulator({ seed: 9 });
  const upstream = await simulator.start();
  server = await startServer();
  const reading = ['documents:read', 'documents:write', 'queries:run'];
  for (const [name, permissions] of [
    ['payroll', reading],
    ['plain', reading],
    ['unmasked', [...reading, 'documents:unmasked']],
  ] as const) {
    expect((await server.call('POST', '/api/v1/roles', { name, permissions })).status).toBe(201);
  }
  for (const role of ['payroll', 'plain', 'unmasked', 'operator', 'analyst', 'admin']) {
    keys[role] = (await server.call('POST', '/api/v1/keys', { name: role, role })).json.key;
  }
  const narrow = { name: 'narrow', role: 'admin', scopes: ['documents:read', 'queries:run'] };
  keys.narrow = (await server.call('POST', '/api/v1/keys', narrow)).json.key;
  const added = await as('admin', 'POST', '/api/v1/documents?wait=true', { title: 'Tides', text, metadata });
  expect(added.status).toBe(201);
  id = added.json.id;
  await server.call('POST', '/api/v1/providers', {
    name: 'sim',
    kind: 'openai',
    base_url: `${upstream.url}/v1`,
  });
  await server.call('PUT', '/api/v1/routes/default', {
    cache: { mode: 'exact' },
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
  });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

const mask = (roles: string[]) => as('admin', 'PUT', '/api/v1/masking-rules/salary', { roles });
const sees = ['payroll', 'unmasked', 'admin'];
const sawNot = ['plain', 'operator', 'analyst', 'narrow'];
const search = (who: string, filters?: object) =>
  as(who, 'POST', '/api/v1/search', { query: 'harbour tide tables', ...(filters && { filters }) });
const ask = (who: string, filters?: object) =>
  as(who, 'POST', '/api/v1/query', { query: 'Who keeps the tide tables?', ...(filters && { filters }) });

describe('a masked member of metadata', () => {
  it('is read by everybody until there is a rule, and from the next request on by those it names', async () => {
    expect((await as('plain', 'GET', `/api/v1/documents/${id}`)).json.metadata).toEqual(metadata);
    expect((await mask(['payroll'])).json).toMatchObject({ field: 'salary', roles: ['payroll'] });
    for (const who of sees) {
      expect((await as(who, 'GET', `/api/v1/documents/${id}`)).json.metadata).toEqual(metadata);
    }
    for (const who of sawNot) {
      const shown = await as(who, 'GET', `/api/v1/documents/${id}`);
      expect(shown.json.metadata).toEqual({ salary: '[masked]', office: 'harbour' });
    }
  });

  it('says nothing in lists, in search and in answers', async () => {
    for (const who of sawNot) {
      for (const reply of [await as(who, 'GET', '/api/v1/documents'), await search(who), await ask(who)]) {
        expect(reply.status).toBe(200);
        expect(reply.text).not.toContain('90000');
      }
      expect((await search(who)).json.hits[0].metadata).toEqual({ salary: '[masked]', office: 'harbour' });
    }
    for (const who of sees) expect((await search(who)).json.hits[0].metadata).toEqual(metadata);
  });

  it('finds nothing for who may not read it, whether the guess is right or wrong, and says nothing of it', async () => {
    for (const who of sawNot) {
      const guesses = [90_000, 1, '[masked]'].map((salary) => ({ metadata: { salary } }));
      for (const filters of [...guesses, { metadata: { salary: 90_000, office: 'harbour' } }]) {
        const found = await search(who, filters);
        expect(found.json.hits).toEqual([]);
        expect(found.json.warnings).toBeUndefined();
        expect((await ask(who, filters)).json.covered).toBe(false);
      }
      expect((await search(who, { metadata: { office: 'harbour' } })).json.hits).toHaveLength(1);
    }
    for (const who of sees) {
      expect((await search(who, { metadata: { salary: 90_000 } })).json.hits).toHaveLength(1);
      expect((await search(who, { metadata: { salary: 1 } })).json.hits).toEqual([]);
      expect((await ask(who, { metadata: { salary: 90_000 } })).json.covered).toBe(true);
    }
    // What others found by it is in the cache, for them.
    expect((await ask('plain', { metadata: { salary: 90_000 } })).json.covered).toBe(false);
  });

  it('is kept when who may not read it changes the document, and does not tell a right guess by a twin', async () => {
    const sentBack = { salary: '[masked]', office: 'lighthouse' };
    const changed = await as('operator', 'PUT', `/api/v1/documents/${id}`, { metadata: sentBack });
    expect(changed.json.metadata).toEqual(sentBack);
    expect((await as('payroll', 'GET', `/api/v1/documents/${id}`)).json.metadata).toEqual({
      salary: 90_000,
      office: 'lighthouse',
    });
    const guesses = await Promise.all(
      [90_000, 1].map((salary) =>
        as('operator', 'POST', '/api/v1/documents', {
          title: 'Tides',
          text,
          metadata: { salary, office: 'lighthouse' },
        }),
      ),
    );
    expect(guesses.map(({ status, json }) => [status, json.id])).toEqual([
      [200, id],
      [200, id],
    ]);
    expect(guesses[0]?.json.metadata.salary).toBe('[masked]');
  });

  it('is read again by everybody when the rule goes', async () => {
    expect((await as('admin', 'DELETE', '/api/v1/masking-rules/salary')).status).toBe(204);
    expect((await as('plain', 'GET', `/api/v1/documents/${id}`)).json.metadata.salary).toBe(90_000);
    expect((await as('admin', 'DELETE', '/api/v1/masking-rules/salary')).status).toBe(404);
    expect((await search('plain', { metadata: { salary: 90_000 } })).json.hits).toHaveLength(1);
  });
});
