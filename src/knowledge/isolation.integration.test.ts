import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

const canary = 'zebra-canary-4711';
const tables = ['documents', 'document_texts', 'chunks', 'index_changes', 'loose_blobs', 'deletion_receipts'];

let server: KnowledgeServer;
let client: pg.Client;
const keys: Record<string, string> = {};
const tenants: Record<string, string> = {};
const ids: Record<string, string> = {};

beforeAll(async () => {
  server = await startKnowledgeServer();
  client = new pg.Client({ connectionString: server.test.url });
  await client.connect();
  keys.one = await server.keyIn('one', 'operator');
  keys.hr = await server.keyIn('one', 'operator', ['hr']);
  keys.sales = await server.keyIn('one', 'analyst', ['sales']);
  keys.admin = await server.keyIn('one', 'admin');
  keys.two = await server.keyIn('two', 'admin');
  const add = async (name: string, key: string, body: object) => {
    const added = await server.request(key, 'POST', '/documents?wait=true', body);
    expect(added.status).toBe(201);
    ids[name] = added.json.id;
  };
  await add('open', keys.one, { text: `Everyone of one reads this ${canary}.` });
  await add('hr', keys.hr, { text: `Only human resources read this ${canary}.`, acl: { groups: ['hr'] } });
  await add('two', keys.two, { text: `Everyone of one reads this ${canary}.` });
  // Rows in every table, so that seeing none means something.
  await add('gone', keys.hr, { text: `Deleted ${canary}.`, acl: { groups: ['hr'] } });
  expect((await server.request(keys.hr, 'DELETE', `/documents/${ids.gone}`)).status).toBe(200);
  await client.query(
    `insert into index_changes (tenant_id, document_id, change, created_at) select tenant_id, id, 'upsert', now() from documents`,
  );
  await client.query(
    `insert into loose_blobs (blob_key, tenant_id, removable_at) select 'x/' || id, id, 'infinity' from tenants`,
  );
  for (const row of (await client.query('select id, slug from tenants')).rows) tenants[row.slug] = row.id;
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});

/** Raw SQL as the application role, the way `inTenant` enters it, without any of our code in between. */
async function as<Row>(tenantId: string, readerTokens: string[], query: string): Promise<Row[]> {
  await client.query('begin');
  try {
    await client.query('set local role gatehouse_app');
    await client.query(
      `select set_config('gatehouse.tenant_id', $1, true), set_config('gatehouse.reader_tokens', $2, true)`,
      [tenantId, JSON.stringify(readerTokens)],
    );
    return (await client.query(query)).rows;
  } finally {
    await client.query('rollback');
  }
}

const texts = `select t.document_id as id, t.text from document_texts t`;
const idsOf = async (tenantId: string, tokens: string[], table: string): Promise<Set<string>> => {
  const column = table === 'documents' ? 'id' : 'document_id';
  const rows = await as<{ id: string }>(tenantId, tokens, `select distinct ${column} as id from ${table}`);
  return new Set(rows.map((row) => row.id));
};

describe('by raw SQL as the application role', () => {
  test('nothing without a tenant, and no way to another', async () => {
    for (const table of tables) expect(await as('', ['all:documents'], `select * from ${table}`)).toEqual([]);
    for (const table of tables) {
      const rows = await as<{ tenant_id: string }>(
        tenants.two ?? '',
        ['all:documents'],
        `select * from ${table}`,
      );
      expect(rows.filter((row) => row.tenant_id !== tenants.two)).toEqual([]);
    }
    expect(await idsOf(tenants.two ?? '', ['all:documents'], 'chunks')).toEqual(new Set([ids.two]));
  });

  test.each(['documents', 'document_texts', 'chunks'])(
    'readers decide who sees a row of %s',
    async (table) => {
      const one = tenants.one ?? '';
      const hidden = [ids.hr ?? ''];
      expect(await idsOf(one, [], table)).toEqual(new Set([ids.open]));
      expect(await idsOf(one, ['group:sales', 'role:analyst', 'user:somebody'], table)).toEqual(
        new Set([ids.open]),
      );
      for (const tokens of [['group:hr'], ['all:documents'], await creatorOf(ids.hr ?? '')]) {
        expect([...(await idsOf(one, tokens, table))]).toEqual(expect.arrayContaining(hidden));
      }
      const rows = await as<{ text: string }>(one, ['group:sales'], texts);
      expect(rows.some((row) => row.text.includes('human resources'))).toBe(false);
    },
  );

  test('a receipt tells of a deleted document only those who could see it', async () => {
    const one = tenants.one ?? '';
    const receipts = (tokens: string[]) => as(one, tokens, 'select * from deletion_receipts');
    expect(await receipts(['group:sales'])).toEqual([]);
    expect(await receipts(['group:hr'])).toHaveLength(1);
  });

  test('what cannot be seen cannot be changed, and no row can be moved to another tenant', async () => {
    const one = tenants.one ?? '';
    expect(
      await as(one, ['group:sales'], `delete from documents where id = '${ids.hr}' returning id`),
    ).toEqual([]);
    expect(
      await as(
        one,
        ['group:sales'],
        `update documents set readers = '{}' where id = '${ids.hr}' returning id`,
      ),
    ).toEqual([]);
    await expect(
      as(
        one,
        ['all:documents'],
        `update documents set tenant_id = '${tenants.two}' where id = '${ids.open}'`,
      ),
    ).rejects.toThrow(/row-level security/);
    await expect(as(one, [], `insert into chunks (id) values ('${ids.open}')`)).rejects.toThrow(
      /permission denied/,
    );
    await expect(as(one, [], 'update document_texts set text = $$x$$')).rejects.toThrow(/permission denied/);
    await expect(as(one, [], 'update deletion_receipts set completed_at = now()')).rejects.toThrow(
      /permission denied/,
    );
  });

  async function creatorOf(id: string): Promise<string[]> {
    return (await client.query('select created_by from documents where id = $1', [id])).rows.map(
      (r) => r.created_by,
    );
  }
});

describe('by the API', () => {
  test('a document with readers does not exist for others, in lists, text or by its id', async () => {
    const seen = async (key: string | undefined) => {
      const list = await server.request(key ?? '', 'GET', '/documents?limit=200');
      return list.json.documents.map((document: { id: string }) => document.id);
    };
    expect(await seen(keys.sales)).toEqual([ids.open]);
    expect(await seen(keys.hr)).toEqual(expect.arrayContaining([ids.open, ids.hr]));
    expect(await seen(keys.admin)).toEqual(expect.arrayContaining([ids.open, ids.hr]));
    expect(await seen(keys.two)).toEqual([ids.two]);
    for (const path of ['', '/text', '/deletion']) {
      const hidden = await server.request(keys.sales ?? '', 'GET', `/documents/${ids.hr}${path}`);
      const absent = await server.request(
        keys.sales ?? '',
        'GET',
        `/documents/00000000-0000-7000-8000-000000000000${path}`,
      );
      const { correlation_id: _a, ...hiddenProblem } = hidden.json;
      const { correlation_id: _b, ...absentProblem } = absent.json;
      expect(hiddenProblem).toEqual(absentProblem);
      expect(hidden.status).toBe(404);
    }
    expect((await server.request(keys.sales ?? '', 'GET', `/documents/${ids.gone}/deletion`)).status).toBe(
      404,
    );
  });

  test('passages and slices come only to those who may read the document', async () => {
    const { passages } = server.knowledge;
    const { rows } = await client.query('select id from chunks where document_id = $1', [ids.hr]);
    const chunkIds = rows.map((row) => row.id);
    expect(chunkIds.length).toBeGreaterThan(0);
    const span = { documentId: ids.hr ?? '', start: 0, end: 4 };
    const reads = async (tenantId: string | undefined, readerTokens: string[]) => {
      const scope = { tenantId: tenantId ?? '', readerTokens };
      return {
        passages: (await passages.readPassages(scope, chunkIds)).length,
        around: (await passages.neighbours(scope, chunkIds[0], 3)).length,
        slices: (await passages.storedSlices(scope, [span])).length,
      };
    };
    expect(await reads(tenants.one, ['group:hr'])).toEqual({ passages: 1, around: 1, slices: 1 });
    expect(await reads(tenants.one, ['group:sales'])).toEqual({ passages: 0, around: 0, slices: 0 });
    expect(await reads(tenants.two, ['group:hr', 'all:documents'])).toEqual({
      passages: 0,
      around: 0,
      slices: 0,
    });
  });

  test('an ACL holds at the next request, in both directions', async () => {
    const body = { text: 'Handed round.', acl: { groups: ['hr'] } };
    const { id } = (await server.request(keys.hr ?? '', 'POST', '/documents?wait=true', body)).json;
    const status = async () => (await server.request(keys.sales ?? '', 'GET', `/documents/${id}`)).status;
    const setAcl = (acl: object) => server.request(keys.hr ?? '', 'PUT', `/documents/${id}/acl`, acl);
    expect(await status()).toBe(404);
    expect((await setAcl({ groups: ['sales', 'hr'] })).json.acl.groups).toEqual(['hr', 'sales']);
    expect(await status()).toBe(200);
    await setAcl({ roles: ['analyst'] });
    expect(await status()).toBe(200);
    await setAcl({ users: ['somebody'] });
    expect(await status()).toBe(404);
    await setAcl({});
    expect(await status()).toBe(200);
  });

  test('nobody can hide a document from themselves by accident; its maker and administrators always see it', async () => {
    const setAcl = (key: string | undefined, acl: object) =>
      server.request(key ?? '', 'PUT', `/documents/${ids.open}/acl`, acl);
    const refused = await setAcl(keys.hr, { groups: ['board'] });
    expect([refused.status, refused.json.errors[0].path]).toEqual([422, 'acl']);
    expect((await server.request(keys.sales ?? '', 'GET', `/documents/${ids.open}`)).status).toBe(200);
    expect((await setAcl(keys.one, { groups: ['board'] })).status).toBe(200);
    expect((await setAcl(keys.admin, { groups: [] })).status).toBe(200);
  });
});
