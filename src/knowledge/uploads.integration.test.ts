import { readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

const limit = 4 * 1024 * 1024;
let server: KnowledgeServer;
let operator: string;

beforeAll(async () => {
  server = await startKnowledgeServer({ maxFileBytes: limit });
  operator = await server.keyIn('one', 'operator');
});
afterAll(() => server?.stop());

type Parts = Parameters<KnowledgeServer['upload']>[3];
const upload = (parts: Parts, path = '/documents?wait=true') => server.upload(operator, 'POST', path, parts);
const md = (content: string | Buffer, name = 'notes.md') => ({ name, type: 'text/markdown', content });

/** Files on disk, drafts included, and rows about files that no document holds. */
async function leftovers(): Promise<{ files: number; rows: number; documents: number }> {
  const { rows } = await sql<{ rows: number; documents: number }>`
    select (select count(*)::int from loose_blobs) as rows, (select count(*)::int from documents) as documents
  `.execute(server.test.database.platform);
  const entries = await readdir(server.objectsDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).length;
  const counted = rows[0] ?? { rows: -1, documents: -1 };
  return { files, ...counted };
}

describe('uploading a file', () => {
  test('takes title, metadata, acl and external id as fields, wherever the file stands among them', async () => {
    const fields = {
      title: 'Given title',
      metadata: '{"year": 2026, "final": true}',
      acl: '{"groups": ["hr"]}',
      external_id: 'files/1',
    };
    const first = await upload({ file: md('# Own title\n\nText.'), ...fields });
    expect(first.status).toBe(201);
    expect(first.json).toMatchObject({
      title: 'Given title',
      file_name: 'notes.md',
      content_type: 'text/markdown',
      metadata: { year: 2026, final: true },
      acl: { groups: ['hr'] },
      external_id: 'files/1',
    });
    const again = await upload({ ...fields, file: md('# Own title\n\nText.') });
    expect([again.status, again.json.id]).toEqual([200, first.json.id]);
  });

  test('is called by its own title, else by its name', async () => {
    expect((await upload({ file: md('# Own title\n\nOther text.') })).json.title).toBe('Own title');
    expect((await upload({ file: md('No heading here.', 'Travel plan.md') })).json.title).toBe('Travel plan');
  });

  test('names that try to get out of a folder, or hide what they are, are made plain', async () => {
    const added = await upload({ file: md('Harmless.', '..\\..\\etc\\pass\u202ewd.md') });
    expect(added.json.file_name).toBe('passwd.md');
  });

  test('a new file replaces the content by PUT', async () => {
    const { id } = (await upload({ file: md('First file.') })).json;
    const replaced = await server.upload(operator, 'PUT', `/documents/${id}?wait=true`, {
      file: md('Second file.', 'second.md'),
      title: 'Second',
    });
    expect(replaced.status).toBe(200);
    expect(replaced.json).toMatchObject({ version: 2, title: 'Second', file_name: 'second.md' });
    const onlyFields = await server.upload(operator, 'PUT', `/documents/${id}`, { title: 'Third' });
    expect(onlyFields.json).toMatchObject({ version: 2, title: 'Third' });
  });

  test('the same file again, and the one it replaced, leave no file behind', async () => {
    const before = await leftovers();
    const { id } = (await upload({ file: md('One of a kind.') })).json;
    await upload({ file: md('One of a kind.') });
    await server.upload(operator, 'PUT', `/documents/${id}?wait=true`, { file: md('Another of a kind.') });
    expect(await leftovers()).toEqual({ files: before.files + 1, rows: 0, documents: before.documents + 1 });
  });
});

describe('a form that is wrong leaves nothing behind', () => {
  test.each<[string, Parts, number, string]>([
    ['no file', { title: 'x' }, 422, 'file'],
    ['the file in another field', { document: md('x') }, 422, 'file'],
    ['metadata that is not JSON', { file: md('x'), metadata: '{' }, 422, 'metadata'],
    ['metadata that is nested', { metadata: '{"a":{}}', file: md('x') }, 422, 'metadata.a'],
    ['an ACL with a role there is not', { file: md('x'), acl: '{"roles":["king"]}' }, 422, 'acl.roles.0'],
    ['an empty title', { file: md('x'), title: ' ' }, 422, 'title'],
  ])('%s', async (_what, parts, status, field) => {
    const before = await leftovers();
    const refused = await upload(parts);
    expect(refused.status).toBe(status);
    expect(refused.json.errors[0].path).toBe(field);
    expect(await leftovers()).toEqual(before);
  });

  test('a file over the limit is a 413, whether its size was said in advance or not', async () => {
    const before = await leftovers();
    expect((await upload({ file: md(Buffer.alloc(limit + 1, 'a')) })).status).toBe(413);
    expect((await upload({ file: md(Buffer.alloc(limit * 2, 'a')), title: 'after' })).status).toBe(413);
    expect((await streamed(8 * limit, async () => 'end')).status).toBe(413);
    expect(await leftovers()).toEqual(before);
  });

  test('a file of just the limit is taken', async () => {
    const added = await upload({ file: md(Buffer.alloc(limit, 'word ')) });
    expect(added.status).toBe(201);
    expect(added.json.bytes).toBe(limit);
  });

  test('a client that goes away in the middle', async () => {
    const before = await leftovers();
    await streamed(limit / 2, async () => {
      await until(async () => (await leftovers()).rows > before.rows);
      return 'vanish';
    });
    await until(async () => (await leftovers()).rows === before.rows);
    expect(await leftovers()).toEqual(before);
  });

  test('a form that ends early or has no boundary is a 400', async () => {
    const before = await leftovers();
    const bodies: [string, string][] = [
      [
        'multipart/form-data; boundary=b',
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.md"\r\n\r\nabc',
      ],
      ['multipart/form-data', 'whatever'],
      ['multipart/form-data; boundary=b', 'not a form at all'],
    ];
    for (const [type, body] of bodies) {
      const refused = await server.request(operator, 'POST', '/documents', body, { 'content-type': type });
      expect(refused.status).toBe(400);
    }
    expect(await leftovers()).toEqual(before);
  });
});

/** Sends a form in chunks over a real socket, without saying its length. */
async function streamed(bytes: number, ending: () => Promise<'end' | 'vanish'>): Promise<{ status: number }> {
  const address = server.http.api.server.address();
  const port =
    typeof address === 'object' && address ? address.port : await server.http.listen('127.0.0.1', 0);
  return new Promise((resolve) => {
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/api/v1/documents',
      headers: {
        authorization: `Bearer ${operator}`,
        'content-type': 'multipart/form-data; boundary=b',
        'transfer-encoding': 'chunked',
      },
    });
    request.on('response', (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0 });
    });
    request.on('error', () => resolve({ status: 0 }));
    request.write('--b\r\ncontent-disposition: form-data; name="file"; filename="long.txt"\r\n\r\n');
    const part = Buffer.alloc(64 * 1024, 'a');
    let sent = 0;
    const send = () => {
      while (sent < bytes) {
        sent += part.length;
        if (!request.write(part)) return request.once('drain', send);
      }
      return ending().then((how) => (how === 'end' ? request.end('\r\n--b--\r\n') : request.destroy()));
    };
    send();
  });
}

describe('bad files', () => {
  const zip = Buffer.from('PK\x03\x04 not really an archive at all, just its first bytes');
  test.each<[string, { name: string; type?: string; content: string | Buffer }, string[]]>([
    ['empty', { name: 'empty.txt', content: '' }, ['empty']],
    [
      'binary junk named as text',
      { name: 'junk.txt', content: Buffer.from([0, 1, 2, 255, 254, 0, 9, 0, 200]) },
      ['binary_content', 'invalid_encoding'],
    ],
    [
      'invalid UTF-8',
      { name: 'latin.txt', content: Buffer.from('caf\xe9 au lait, s\xe9rieusement', 'latin1') },
      ['invalid_encoding'],
    ],
    [
      'a truncated PDF',
      { name: 'cut.pdf', type: 'application/pdf', content: '%PDF-1.7\n1 0 obj\n<< /Type /Cat' },
      ['truncated_or_corrupt'],
    ],
    ['text named as a PDF', { name: 'fake.pdf', content: 'I am no PDF.' }, ['wrong_type']],
    [
      'an archive that is none',
      { name: 'broken.docx', content: zip },
      ['truncated_or_corrupt', 'unsupported_type', 'wrong_type'],
    ],
    [
      'a picture',
      { name: 'cat.png', content: Buffer.from('\x89PNG\r\n\x1a\n', 'latin1') },
      ['unsupported_type'],
    ],
  ])('%s: failed with a reason, and the next one is read', async (_what, file, reasons) => {
    const failed = await upload({ file });
    expect(failed.status).toBe(422);
    expect(reasons).toContain(failed.json.reason);
    expect(failed.json.detail.length).toBeGreaterThan(10);
    const listed = await server.request(operator, 'GET', `/documents/${failed.json.document_id}`);
    expect(listed.json).toMatchObject({
      status: 'failed',
      reason: failed.json.reason,
      searchable_version: null,
    });
    expect((await upload({ file: md(`Good text after ${file.name}.`) })).status).toBe(201);
  });
});

test('many uploads at once all become ready', async () => {
  const added = await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      upload({ file: md(`Upload number ${i}.`, `n${i}.md`) }, '/documents'),
    ),
  );
  expect(added.every((reply) => reply.status === 202)).toBe(true);
  for (const { json } of added) {
    await until(
      async () => (await server.request(operator, 'GET', `/documents/${json.id}`)).json.status === 'ready',
    );
  }
});
