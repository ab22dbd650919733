import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * Two tenants hold the same document with one word changed, and one of them a document that only one group may read. Each
 * is asked for by API, by search, by answers without and with a model, and by raw SQL as the application role.
 */
const sharedText = (secret: string) =>
  `The lighthouse keeper's handbook. The lamp is trimmed at dusk and the signal word of the month is ${secret}. ` +
  'Ships answer the signal word with two short blasts of the horn.';
const restrictedText =
  'Salary of the harbour master. The harbour master is paid ninety thousand crowns a year, which nobody but payroll may know.';

let simulator: Simulator;
let server: RunningServer;
const keys: Record<string, string> = {};
const documents: Record<string, string> = {};

const as = (who: string, method: string, path: string, body?: unknown) =>
  call(server.url, keys[who] ?? '', method, path, body);

beforeAll(async () => {
  simulator = createSimulator({ seed: 3 });
  const upstream = await simulator.start();
  server = await startServer();
  for (const slug of ['north', 'south']) {
    const made = await server.call('POST', '/api/v1/tenants', {
      name: slug,
      slug,
      tier: 'starter',
      region: 'eu',
    });
    expect(made.status).toBe(201);
    const inTenant = { 'x-tenant-id': slug };
    for (const [name, role, groups] of [
      [`${slug}-operator`, 'operator', []],
      [`${slug}-reader`, 'analyst', []],
      [`${slug}-payroll`, 'analyst', ['payroll']],
    ] as const) {
      const key = await server.call('POST', '/api/v1/keys', { name, role, groups }, inTenant);
      expect(key.status).toBe(201);
      keys[name] = key.json.key;
    }
    const secret = slug === 'north' ? 'kittiwake' : 'guillemot';
    const document = await as(`${slug}-operator`, 'POST', '/api/v1/documents?wait=true', {
      title: 'Handbook',
      text: sharedText(secret),
    });
    expect(document.status).toBe(201);
    documents[slug] = document.json.id;
  }
  const restricted = await as('north-operator', 'POST', '/api/v1/documents?wait=true', {
    title: 'Salaries',
    text: restrictedText,
    acl: { groups: ['payroll'] },
  });
  expect(restricted.status).toBe(201);
  documents.restricted = restricted.json.id;
  await server.call('POST', '/api/v1/providers', {
    name: 'sim',
    kind: 'openai',
    base_url: `${upstream.url}/v1`,
  });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('the other tenant’s document', () => {
  it('is not there by id, by text, by list, nor to be changed or deleted', async () => {
    const path = `/api/v1/documents/${documents.south}`;
    expect((await as('north-reader', 'GET', path)).status).toBe(404);
    expect((await as('north-reader', 'GET', `${path}/text`)).status).toBe(404);
    expect((await as('north-operator', 'PUT', path, { title: 'Mine' })).status).toBe(404);
    expect(
      (await as('north-operator', 'PUT', `${path}/acl`, { roles: [], groups: [], users: [] })).status,
    ).toBe(404);
    expect((await as('north-operator', 'DELETE', path)).status).toBe(404);
    const list = await as('north-operator', 'GET', '/api/v1/documents');
    expect(list.text).not.toContain(documents.south);
    expect((await as('south-reader', 'GET', path)).json.title).toBe('Handbook');
  });

  it('is not found by search and does not answer, with a model or without', async () => {
    for (const [slug, own, other] of [
      ['north', 'kittiwake', 'guillemot'],
      ['south', 'guillemot', 'kittiwake'],
    ] as const) {
      await withAndWithoutModel(async () => {
        const search = await as(`${slug}-reader`, 'POST', '/api/v1/search', {
          query: 'signal word of the month',
        });
        expect(search.text).toContain(own);
        expect(search.text).not.toContain(other);
        const answer = await as(`${slug}-reader`, 'POST', '/api/v1/query', {
          query: 'What is the signal word of the month?',
        });
        expect(answer.json.answer).toContain(own);
        expect(answer.text).not.toContain(other);
        const probing = await as(`${slug}-reader`, 'POST', '/api/v1/search', { query: other });
        expect(probing.text.replaceAll(`"${other}"`, '')).not.toContain(
          documents[slug === 'north' ? 'south' : 'north'],
        );
      });
    }
  });

  it('cannot be reached by naming the tenant', async () => {
    const reply = await call(server.url, keys['north-reader'] ?? '', 'GET', '/api/v1/documents', undefined, {
      'x-tenant-id': 'south',
    });
    expect(reply.status).toBe(403);
  });
});

describe('the other tenant’s model calls', () => {
  it('are in no version of the ledger', async () => {
    const made = await as('south-reader', 'POST', '/v1/chat/completions', {
      model: 'default',
      messages: [{ role: 'user', content: 'Hello' }],
    });
    expect(made.status).toBe(200);
    for (const path of [
      '/api/v1/costs/ledger',
      '/api/v2/costs/ledger',
      '/api/v2/costs/ledger?attempts=all',
    ]) {
      const own = await as('south-operator', 'GET', path);
      const id = made.headers.get('x-correlation-id') ?? '';
      expect(own.text).toContain(id);
      const others = await as(
        'north-operator',
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}correlation_id=${id}`,
      );
      expect({ status: others.status, holds: others.text.includes(id) }).toEqual({
        status: 200,
        holds: false,
      });
    }
  });
});

describe('the document that only payroll may read', () => {
  it('exists for payroll', async () => {
    await withAndWithoutModel(async () => {
      expect((await as('north-payroll', 'GET', `/api/v1/documents/${documents.restricted}`)).status).toBe(
        200,
      );
      const found = await as('north-payroll', 'POST', '/api/v1/search', { query: 'harbour master salary' });
      expect(found.json.hits[0].document_id).toBe(documents.restricted);
      const answer = await as('north-payroll', 'POST', '/api/v1/query', {
        query: 'How much is the harbour master paid a year?',
      });
      expect(answer.json.answer).toContain('ninety thousand');
      expect(answer.json.citations[0].document_id).toBe(documents.restricted);
    });
  });

  it('does not exist for others: not by id, list, search, answer, nor in any count', async () => {
    await withAndWithoutModel(async () => {
      expect((await as('north-reader', 'GET', `/api/v1/documents/${documents.restricted}`)).status).toBe(404);
      expect((await as('north-reader', 'GET', `/api/v1/documents/${documents.restricted}/text`)).status).toBe(
        404,
      );
      const list = await as('north-reader', 'GET', '/api/v1/documents');
      expect(list.json.documents.map((d: any) => d.id)).toEqual([documents.north]);
      const search = await as('north-reader', 'POST', '/api/v1/search', {
        query: 'harbour master salary crowns',
      });
      expect(search.text).not.toMatch(/ninety|crowns a year|Salaries/);
      const answer = await as('north-reader', 'POST', '/api/v1/query', {
        query: 'How much is the harbour master paid a year?',
      });
      expect(answer.text).not.toMatch(/ninety|Salaries/);
      expect(JSON.stringify(simulator.calls().at(-1) ?? '')).not.toContain('ninety');
    });
  });

  it('appears for a reader at the next request after being opened, and is gone after being closed', async () => {
    const path = `/api/v1/documents/${documents.restricted}/acl`;
    const found = async () =>
      (await as('north-reader', 'POST', '/api/v1/search', { query: 'harbour master salary' })).text.includes(
        'ninety',
      );
    expect((await as('north-operator', 'PUT', path, { roles: [], groups: [], users: [] })).status).toBe(200);
    expect(await found()).toBe(true);
    expect((await as('north-operator', 'PUT', path, { groups: ['payroll'] })).status).toBe(200);
    expect(await found()).toBe(false);
  });
});

describe('raw SQL as the application role', () => {
  it('sees nothing without a tenant, nothing across tenants, and no hidden document, text or chunk', async () => {
    const client = new pg.Client({ connectionString: ownerUrl() });
    await client.connect();
    try {
      const tenants = await client.query<{ id: string; slug: string }>('select id, slug from tenants');
      const idOf = (slug: string) => tenants.rows.find((row) => row.slug === slug)?.id ?? '';
      await client.query('set role gatehouse_app');
      const seen = async (tenant: string, tokens: string[]) => {
        await client.query('begin');
        await client.query(
          `select set_config('gatehouse.tenant_id', $1, true), set_config('gatehouse.reader_tokens', $2, true)`,
          [tenant, JSON.stringify(tokens)],
        );
        const texts = await client.query<{ text: string }>(
          'select text from chunks union select text from document_texts',
        );
        const titles = await client.query<{ title: string }>('select title from documents');
        await client.query('rollback');
        return {
          texts: texts.rows.map((row) => row.text).join('\n'),
          titles: titles.rows.map((row) => row.title).sort(),
        };
      };
      expect(await seen('', [])).toEqual({ texts: '', titles: [] });
      const reader = await seen(idOf('north'), ['role:analyst']);
      expect(reader.titles).toEqual(['Handbook']);
      expect(reader.texts).toContain('kittiwake');
      expect(reader.texts).not.toMatch(/guillemot|ninety/);
      const payroll = await seen(idOf('north'), ['group:payroll']);
      expect(payroll.titles).toEqual(['Handbook', 'Salaries']);
      expect(payroll.texts).not.toContain('guillemot');
      await expect(client.query(`update documents set readers = '{}'`)).resolves.toMatchObject({
        rowCount: 0,
      });
    } finally {
      await client.end();
    }
  });
});

/** The same expectations hold for quoted passages and for a model's answer. */
async function withAndWithoutModel(expectations: () => Promise<void>): Promise<void> {
  await server.call('DELETE', '/api/v1/routes/default');
  await expectations();
  const route = await server.call('PUT', '/api/v1/routes/default', {
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
  });
  expect(route.status).toBeLessThan(300);
  await expectations();
}

/** The embedded server listens on a socket in the data directory. */
function ownerUrl(): string {
  const host = encodeURIComponent(`${server.dataDir}/run`);
  return `postgresql://gatehouse@localhost/gatehouse?host=${host}&port=5432`;
}
