import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let operator: string;
let analyst: string;

beforeAll(async () => {
  server = await startKnowledgeServer();
  operator = await server.keyIn('one', 'operator');
  analyst = await server.keyIn('one', 'analyst');
});
afterAll(() => server?.stop());

const post = (body: unknown, query = '?wait=true') =>
  server.request(operator, 'POST', `/documents${query}`, body);
const put = (id: string, body: unknown, query = '?wait=true') =>
  server.request(operator, 'PUT', `/documents/${id}${query}`, body);
const get = async (id: string) => (await server.request(analyst, 'GET', `/documents/${id}`)).json;
const textOf = async (id: string) => (await server.request(analyst, 'GET', `/documents/${id}/text`)).json;

/** Files that no document holds. */
async function looseBlobs(): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from loose_blobs`.execute(
    server.test.database.platform,
  );
  return rows[0]?.n ?? -1;
}

describe('adding a document as JSON', () => {
  test('answers 202 at once and the document becomes searchable', async () => {
    const added = await post({ title: 'Travel', text: '# Rules\n\nBook early.' }, '');
    expect(added.status).toBe(202);
    expect(added.headers.location).toBe(`/api/v1/documents/${added.json.id}`);
    expect(added.json).toMatchObject({ title: 'Travel', version: 1, searchable_version: null });
    const ready = await until(async () => {
      const now = await get(added.json.id);
      return now.status === 'ready' && now;
    });
    expect(ready).toMatchObject({ searchable_version: 1, text_length: 20, chunk_count: 1, reason: null });
    expect(server.index.documents.get(added.json.id)?.size).toBe(1);
  });

  test('with wait answers 201 when it is searchable, with everything that was said of it', async () => {
    const acl = { roles: ['analyst'], groups: ['hr', 'board'], users: ['u-1'] };
    const metadata = { department: 'hr', year: 2026, current: true, ключ: 'значение 😀' };
    const added = await post({ text: 'Full of facts.', metadata, acl, external_id: 'facts-1' });
    expect(added.status).toBe(201);
    expect(added.json).toMatchObject({
      status: 'ready',
      title: 'Full of facts.',
      external_id: 'facts-1',
      metadata,
      acl: { ...acl, groups: ['board', 'hr'] },
      content_type: 'text/plain',
      warnings: [],
    });
  });

  test('the stored text is the text that was sent, as JSON and bare', async () => {
    const text = 'Línea uno\nsecond 😀 line\n\n\ttabbed   and spaced ';
    const { id } = (await post({ text })).json;
    expect(await textOf(id)).toEqual({
      document_id: id,
      version: 1,
      text,
      length: text.length,
      offset_unit: 'utf16',
    });
    const bare = await server.request(analyst, 'GET', `/documents/${id}/text`, undefined, {
      accept: 'text/plain, application/json;q=0.5',
    });
    expect(bare.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(bare.text).toBe(text);
  });

  test('NUL characters, lone surrogates and carriage returns are cleaned, not refused', async () => {
    const added = await post({ text: 'a\u0000b\ud800c\r\nd' });
    expect(added.status).toBe(201);
    expect((await textOf(added.json.id)).text).toBe('ab\ufffdc\nd');
  });

  test('a title comes from the text when none is given: its own, else its first words', async () => {
    const markdown = await post({ text: '# The plan\n\nAll of it.', content_type: 'text/markdown' });
    expect(markdown.json).toMatchObject({ title: 'The plan', content_type: 'text/markdown' });
    const html = await post({
      text: '<!doctype html><html><head><title>The page</title></head><body><p>Some words here.</p></body></html>',
      content_type: 'text/html',
    });
    expect(html.json.title).toBe('The page');
    expect((await textOf(html.json.id)).text).toContain('Some words here.');
    expect((await post({ text: 'Only words, no title' })).json.title).toBe('Only words, no title');
  });

  test.each([
    ['no text', { title: 'x' }],
    ['empty text', { text: '' }],
    ['text that is not a string', { text: 5 }],
    ['NUL in the title', { text: 'x', title: 'a\u0000b' }],
    ['a lone surrogate in metadata', { text: 'x', metadata: { a: '\ud800' } }],
    ['NUL in a name of metadata', { text: 'x', metadata: { 'a\u0000': 1 } }],
    ['nested metadata', { text: 'x', metadata: { a: { b: 1 } } }],
    [
      '51 metadata',
      { text: 'x', metadata: Object.fromEntries([...Array(51).keys()].map((n) => [`k${n}`, n])) },
    ],
    ['a role there is not', { text: 'x', acl: { roles: ['king'] } }],
    ['101 groups', { text: 'x', acl: { groups: [...Array(101).keys()].map(String) } }],
    ['a binary content type', { text: 'x', content_type: 'application/pdf' }],
  ])('422 with the field named: %s', async (_what, body) => {
    const refused = await post(body);
    expect(refused.status).toBe(422);
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect(refused.json.errors.length).toBeGreaterThan(0);
  });

  test('415 for anything but JSON and forms; 400 for what is not JSON', async () => {
    for (const type of ['text/plain', 'application/xml', 'application/pdf']) {
      const refused = await server.request(operator, 'POST', '/documents', 'hello', { 'content-type': type });
      expect(refused.status).toBe(415);
    }
    const malformed = await server.request(operator, 'POST', '/documents', '{"text":', {
      'content-type': 'application/json',
    });
    expect(malformed.status).toBe(400);
  });

  test('413 for a body over 20 MiB', async () => {
    const refused = await post({ text: 'x'.repeat(20 * 1024 * 1024) });
    expect(refused.status).toBe(413);
  });

  test('a document that cannot be read is a 422 with reason and id, and stays listed as failed', async () => {
    const failed = await post({ text: ' \n \t ' });
    expect(failed.status).toBe(422);
    expect(failed.json).toMatchObject({ code: 'invalid', reason: 'empty' });
    expect(await get(failed.json.document_id)).toMatchObject({ status: 'failed', reason: 'empty' });
    const list = await server.request(analyst, 'GET', '/documents?status=failed');
    expect(list.json.documents.map((d: { id: string }) => d.id)).toContain(failed.json.document_id);
    const text = await server.request(analyst, 'GET', `/documents/${failed.json.document_id}/text`);
    expect(text.status).toBe(409);
    expect(text.json.status).toBe('failed');
  });

  test('an analyst reads and does not write', async () => {
    expect((await server.request(analyst, 'POST', '/documents', { text: 'x' })).status).toBe(403);
    expect((await server.request(analyst, 'GET', '/documents')).status).toBe(200);
  });
});

describe('sending the same again', () => {
  test('is the same document: no new version, no file left over', async () => {
    const body = {
      text: 'Said once.',
      title: 'Once',
      metadata: { a: 1, b: 'x' },
      acl: { groups: ['g', 'h'] },
    };
    const first = await post(body);
    expect(first.status).toBe(201);
    const again = await post({ ...body, metadata: { b: 'x', a: 1 }, acl: { groups: ['h', 'g'] } });
    expect(again.status).toBe(200);
    expect(again.json).toEqual(first.json);
    expect(await looseBlobs()).toBe(0);
  });

  test('another title, metadata or ACL is another document', async () => {
    const body = { text: 'Said twice.', title: 'Twice' };
    const ids = new Set<string>();
    for (const change of [{}, { title: 'Two' }, { metadata: { a: 1 } }, { acl: { groups: ['g'] } }]) {
      const added = await post({ ...body, ...change });
      expect(added.status).toBe(201);
      ids.add(added.json.id);
    }
    expect(ids.size).toBe(4);
  });

  test('at the same moment, adds one', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => post({ text: 'Said by ten at once.', title: 'Ten' })),
    );
    expect(new Set(replies.map((reply) => reply.json.id)).size).toBe(1);
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(1);
    expect(await looseBlobs()).toBe(0);
  });

  test('a failed document is tried again', async () => {
    const failed = await post({ text: '   ', title: 'Blank' });
    const again = await post({ text: '   ', title: 'Blank' });
    expect(again.json.document_id).toBe(failed.json.document_id);
    expect(await get(failed.json.document_id)).toMatchObject({ status: 'failed', version: 2 });
  });
});

describe('external ids', () => {
  test('sending one again revises the document; the same content does nothing', async () => {
    const first = await post({ external_id: 'wiki/1', text: 'First edition.', acl: { groups: ['hr'] } });
    const same = await post({ external_id: 'wiki/1', text: 'First edition.' });
    expect([same.status, same.json.id, same.json.version]).toEqual([200, first.json.id, 1]);
    const second = await post({ external_id: 'wiki/1', text: 'Second edition.' });
    expect([second.status, second.json.id, second.json.version]).toEqual([200, first.json.id, 2]);
    expect(second.json.acl.groups).toEqual(['hr']);
    const text = await server.request(operator, 'GET', `/documents/${first.json.id}/text`);
    expect(text.json.text).toBe('Second edition.');
    expect(await looseBlobs()).toBe(0);
  });

  test('many at once for one external id leave one document with the last content that was taken', async () => {
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, i) => post({ external_id: 'wiki/many', text: `Edition number ${i}.` })),
    );
    expect(replies.map((reply) => reply.status).every((status) => status < 300)).toBe(true);
    const [id] = new Set(replies.map((reply) => reply.json.id));
    expect(new Set(replies.map((reply) => reply.json.id)).size).toBe(1);
    const settled = await get(id as string);
    expect(settled).toMatchObject({ status: 'ready', version: 12, searchable_version: 12, chunk_count: 1 });
    expect((await textOf(id as string)).version).toBe(12);
    expect(await looseBlobs()).toBe(0);
  });

  test('one that belongs to a document the caller cannot see is free for the caller, and tells nothing', async () => {
    const secretive = await server.keyIn('one', 'operator', ['secret']);
    const hidden = await server.request(secretive, 'POST', '/documents?wait=true', {
      external_id: 'shared-name',
      text: 'Hidden from the other.',
      acl: { groups: ['secret'] },
    });
    const own = await post({ external_id: 'shared-name', text: 'My own.' });
    expect(own.status).toBe(201);
    expect(own.json.id).not.toBe(hidden.json.id);
    const again = await post({ external_id: 'shared-name', text: 'My own, again.' });
    expect(again.json.id).toBe(own.json.id);
    expect((await server.request(secretive, 'GET', `/documents/${hidden.json.id}`)).json.version).toBe(1);
  });
});

describe('changing a document', () => {
  test('new text is a new version; what was not given stays', async () => {
    const { id } = (await post({ title: 'Rules', text: 'Old rule.', metadata: { a: 1 } })).json;
    const changed = await put(id, { text: 'New rule.' });
    expect(changed.status).toBe(200);
    expect(changed.json).toMatchObject({
      version: 2,
      searchable_version: 2,
      title: 'Rules',
      metadata: { a: 1 },
    });
    expect(await textOf(id)).toMatchObject({ version: 2, text: 'New rule.' });
    expect((await put(id, { text: 'New rule.' })).json.version).toBe(2);
  });

  test('title and metadata hold at once, without a new version, and the index hears of the title', async () => {
    const { id } = (await post({ text: 'Steady text.' })).json;
    const changed = await put(id, { title: 'Renamed', metadata: { b: true } }, '');
    expect(changed.status).toBe(200);
    expect(changed.json).toMatchObject({
      title: 'Renamed',
      metadata: { b: true },
      version: 1,
      status: 'ready',
    });
    await until(async () => (await server.knowledge.indexFeed.tenantsWithIndexChanges()).length === 0);
  });

  test('until the new version is ready, the one before answers', async () => {
    const { id } = (await post({ text: 'The version before.' })).json;
    const release = server.index.hold();
    try {
      const changed = await put(id, { text: 'The version after.' }, '');
      expect(changed.status).toBe(202);
      await until(async () => (await get(id)).status === 'indexing');
      expect(await get(id)).toMatchObject({ version: 2, searchable_version: 1 });
      expect(await textOf(id)).toMatchObject({ version: 1, text: 'The version before.' });
    } finally {
      release();
    }
    await until(async () => (await get(id)).status === 'ready');
    expect(await textOf(id)).toMatchObject({ version: 2, text: 'The version after.' });
  });

  test('a new version that cannot be read leaves the one before answering', async () => {
    const { id } = (await post({ text: 'Good text.' })).json;
    const failed = await put(id, { text: ' ' });
    expect(failed.status).toBe(422);
    expect(failed.json).toMatchObject({ reason: 'empty', document_id: id });
    expect(await get(id)).toMatchObject({ status: 'failed', version: 2, searchable_version: 1 });
    expect((await textOf(id)).text).toBe('Good text.');
    expect((await put(id, { text: 'Good again.' })).json).toMatchObject({ status: 'ready', reason: null });
  });

  test('404 for what is absent, malformed or of another tenant, before any of a body is stored', async () => {
    const stranger = await server.keyIn('two', 'admin');
    const { id } = (await post({ text: 'Of tenant one.' })).json;
    for (const [method, path, body] of [
      ['GET', `/documents/${id}`],
      ['GET', `/documents/${id}/text`],
      ['GET', `/documents/${id}/deletion`],
      ['PUT', `/documents/${id}`, { title: 'mine' }],
      ['PUT', `/documents/${id}/acl`, { groups: ['mine'] }],
      ['DELETE', `/documents/${id}`],
      ['GET', '/documents/not-an-id'],
      ['DELETE', '/documents/00000000-0000-7000-8000-000000000000'],
    ] as const) {
      const reply = await server.request(stranger, method, path, body);
      expect([method, path, reply.status]).toEqual([method, path, 404]);
    }
    expect(await get(id)).toMatchObject({ status: 'ready', version: 1 });
  });
});

describe('listing', () => {
  test('goes through every document once, newest first, in pages', async () => {
    const tenant = await server.keyIn('paged', 'operator');
    for (let i = 0; i < 7; i++) {
      await server.request(tenant, 'POST', '/documents?wait=true', { text: `Document ${i}.` });
    }
    const seen: string[] = [];
    let cursor: string | null = '';
    do {
      const query: string = cursor ? `&cursor=${cursor}` : '';
      const page = await server.request(tenant, 'GET', `/documents?limit=3${query}`);
      expect(page.status).toBe(200);
      expect(page.json.documents.length).toBeLessThanOrEqual(3);
      seen.push(...page.json.documents.map((d: { title: string }) => d.title));
      cursor = page.json.next_cursor;
    } while (cursor);
    expect(seen).toEqual([6, 5, 4, 3, 2, 1, 0].map((i) => `Document ${i}.`));
  });

  test('422 for a cursor that no list gave out', async () => {
    const forged = Buffer.from('2026-01-01T00:00:00.000Z|not-an-id').toString('base64url');
    for (const cursor of ['nonsense', forged]) {
      expect((await server.request(analyst, 'GET', `/documents?cursor=${cursor}`)).status).toBe(422);
    }
    expect((await server.request(analyst, 'GET', '/documents?limit=201')).status).toBe(422);
    expect((await server.request(analyst, 'GET', '/documents?status=lost')).status).toBe(422);
  });
});

test('metrics tell how documents ended and how many are on their way', async () => {
  const lines = (await server.metrics.metrics()).split('\n');
  const figure = (series: string) =>
    Number(lines.find((line) => line.startsWith(`${series} `))?.split(' ')[1]);
  expect(figure('gatehouse_documents_ingested_total{outcome="ready"}')).toBeGreaterThan(0);
  expect(figure('gatehouse_documents_ingested_total{outcome="failed"}')).toBeGreaterThan(0);
  expect(figure('gatehouse_documents_unfinished{status="queued"}')).toBe(0);
  expect(figure('gatehouse_ingest_stage_seconds_count{stage="parse"}')).toBeGreaterThan(0);
});
