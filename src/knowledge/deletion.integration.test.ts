import { readdir } from 'node:fs/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let operator: string;
/** A place that keeps things although it was asked to forget them, until it is let. */
const stubborn = { held: 0, asked: 0 };

beforeAll(async () => {
  server = await startKnowledgeServer({
    derivedPlaces: [
      {
        name: 'answers',
        forget: async () => {
          stubborn.asked += 1;
          return 0;
        },
        count: async () => stubborn.held,
      },
    ],
  });
  operator = await server.keyIn('one', 'operator');
});
afterAll(() => server?.stop());

async function added(text: string): Promise<string> {
  const reply = await server.request(operator, 'POST', '/documents?wait=true', { text });
  expect(reply.status).toBe(201);
  return reply.json.id;
}

async function rowsOf(id: string): Promise<Record<string, number>> {
  const { rows } = await sql<Record<string, number>>`
    select (select count(*)::int from documents where id = ${id}) as documents,
      (select count(*)::int from document_texts where document_id = ${id}) as texts,
      (select count(*)::int from chunks where document_id = ${id}) as chunks,
      (select count(*)::int from loose_blobs where document_id = ${id}) as blobs,
      (select count(*)::int from index_changes where document_id = ${id}) as changes
  `.execute(server.test.database.platform);
  return rows[0] ?? {};
}

async function files(): Promise<number> {
  const entries = await readdir(server.objectsDir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

const receiptOf = (id: string) => server.request(operator, 'GET', `/documents/${id}/deletion`);

describe('deleting a document', () => {
  test('removes it from every place, looks into each, and says what it found', async () => {
    const before = await files();
    const id = await added('To be forgotten. '.repeat(400));
    expect(server.index.documents.get(id)?.size).toBeGreaterThan(1);
    const chunks = server.index.documents.get(id)?.size;

    const deleted = await server.request(operator, 'DELETE', `/documents/${id}`);
    expect(deleted.status).toBe(200);
    expect(deleted.json).toMatchObject({ document_id: id, status: 'complete' });
    expect(deleted.json.completed_at).not.toBeNull();
    expect(deleted.json.places).toEqual([
      { place: 'document', removed: 1, found: 0 },
      { place: 'text', removed: 1, found: 0 },
      { place: 'chunks', removed: chunks, found: 0 },
      { place: 'file', removed: 1, found: 0 },
      { place: 'index', removed: null, found: 0 },
      { place: 'answers', removed: 0, found: 0 },
    ]);
    expect(await rowsOf(id)).toEqual({ documents: 0, texts: 0, chunks: 0, blobs: 0, changes: 0 });
    expect(server.index.documents.has(id)).toBe(false);
    expect(await files()).toBe(before);

    expect((await receiptOf(id)).json).toEqual(deleted.json);
    for (const method of ['GET', 'DELETE'] as const) {
      expect((await server.request(operator, method, `/documents/${id}`)).status).toBe(404);
    }
  });

  test('a place that still holds something keeps the receipt open, and is asked again until it does not', async () => {
    const id = await added('Held on to.');
    stubborn.held = 3;
    const deleted = await server.request(operator, 'DELETE', `/documents/${id}`);
    expect(deleted.status).toBe(202);
    expect(deleted.headers.location).toBe(`/api/v1/documents/${id}/deletion`);
    expect(deleted.json).toMatchObject({ status: 'in_progress', completed_at: null });
    expect((await server.request(operator, 'GET', `/documents/${id}/text`)).status).toBe(404);
    const open = (await receiptOf(id)).json;
    expect(open.places).toContainEqual({ place: 'answers', removed: 0, found: 3 });
    expect(open.places).toContainEqual({ place: 'chunks', removed: 1, found: 0 });

    const asked = stubborn.asked;
    stubborn.held = 0;
    const closed = await until(async () => {
      await server.knowledge.reconcile();
      const receipt = (await receiptOf(id)).json;
      return receipt.status === 'complete' && receipt;
    });
    expect(stubborn.asked).toBeGreaterThan(asked);
    // What the first try removed still counts.
    expect(closed.places).toContainEqual({ place: 'file', removed: 1, found: 0 });
  });

  test('an index that is away does not keep the document alive; the receipt waits for it', async () => {
    const id = await added('Still in the index for a while.');
    server.index.failure = new Error('the index is away');
    const deleted = await server.request(operator, 'DELETE', `/documents/${id}`);
    expect(deleted.status).toBe(202);
    expect(await rowsOf(id)).toMatchObject({ documents: 0, texts: 0, chunks: 0 });
    expect(server.index.documents.has(id)).toBe(true);
    server.index.failure = null;
    await until(async () => {
      await server.knowledge.reconcile();
      return (await receiptOf(id)).json.status === 'complete';
    });
    expect(server.index.documents.has(id)).toBe(false);
  });

  test('while it is being read: the work on it ends without a trace, and who waits is told', async () => {
    const release = server.index.hold();
    const waiting = server.request(operator, 'POST', '/documents?wait=true', {
      text: 'Never to be finished.',
    });
    const id: string = await until(async () => {
      const list = await server.request(operator, 'GET', '/documents?status=indexing');
      return list.json.documents[0]?.id;
    });
    const deleting = server.request(operator, 'DELETE', `/documents/${id}`);
    expect((await waiting).status).toBe(404);
    release();
    expect((await deleting).json.status).toBe('complete');
    await until(async () => (await rowsOf(id)).changes === 0);
    expect(await rowsOf(id)).toEqual({ documents: 0, texts: 0, chunks: 0, blobs: 0, changes: 0 });
    expect(server.index.documents.has(id)).toBe(false);
  });

  test('two at once: one receipt, and the other finds nothing', async () => {
    const id = await added('Deleted twice.');
    const replies = await Promise.all(
      [1, 2].map(() => server.request(operator, 'DELETE', `/documents/${id}`)),
    );
    expect(replies.map((reply) => reply.status).sort()).toEqual([200, 404]);
  });

  test('the same content may be added again afterwards, as a new document', async () => {
    const id = await added('Comes back.');
    await server.request(operator, 'DELETE', `/documents/${id}`);
    expect(await added('Comes back.')).not.toBe(id);
  });
});
