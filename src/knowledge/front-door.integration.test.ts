import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let operator: string;
let scope: { tenantId: string; readerTokens: string[] };

beforeAll(async () => {
  server = await startKnowledgeServer();
  operator = await server.keyIn('one', 'operator');
  const { rows } = await sql<{ id: string }>`select id from tenants where slug = 'one'`.execute(
    server.test.database.platform,
  );
  scope = { tenantId: rows[0]?.id ?? '', readerTokens: [] };
});
afterAll(() => server?.stop());

async function added(body: object): Promise<string> {
  const reply = await server.request(operator, 'POST', '/documents?wait=true', body);
  expect(reply.status).toBe(201);
  return reply.json.id;
}

const revise = (id: string, text: string, query = '?wait=true') =>
  server.request(operator, 'PUT', `/documents/${id}${query}`, { text });
const chunkIds = (id: string) => [...(server.index.documents.get(id) ?? [])];
const textOf = async (id: string): Promise<string> =>
  (await server.request(operator, 'GET', `/documents/${id}/text`)).json.text;

/** Long enough for several chunks and, with characters of two code units all over, for several stored parts. */
const long = Array.from({ length: 4_000 }, (_, i) => `Sentence ${i} about 😀 and the weather in town.`).join(
  '\n\n',
);

describe('what search reads', () => {
  test('passages are slices of the stored text, in the order asked for, others left out', async () => {
    const id = await added({ title: 'Weather', text: long, metadata: { year: 2026 } });
    const stored = await textOf(id);
    expect(stored).toBe(long);
    const ids = chunkIds(id).reverse();
    expect(ids.length).toBeGreaterThan(10);
    const unknown = '01a00000-0000-7000-8000-00000000ffff';
    const passages = await server.knowledge.passages.readPassages(scope, [unknown, ...ids]);
    expect(passages.map((passage) => passage.chunkId)).toEqual(ids);
    for (const passage of passages) {
      expect(passage).toMatchObject({ documentId: id, title: 'Weather', metadata: { year: 2026 } });
      expect(passage.text).toBe(stored.slice(passage.start, passage.end));
    }
    expect(await server.knowledge.passages.readPassages(scope, [])).toEqual([]);
    await expect(
      server.knowledge.passages.readPassages(
        scope,
        Array.from({ length: 1_001 }, () => unknown),
      ),
    ).rejects.toThrow(RangeError);
  });

  test('slices are cut out of the stored text, across its parts, and refused outside of it', async () => {
    const id = await added({ title: 'Weather again', text: long });
    const { rows } = await sql<{ parts: number; widest: number }>`
      select count(*)::int as parts, max(end_offset - start_offset)::int as widest from document_texts
      where document_id = ${id}`.execute(server.test.database.platform);
    expect(rows[0]?.parts).toBeGreaterThan(2);
    expect(rows[0]?.widest).toBeLessThanOrEqual(65_536);
    const spans = [
      [0, 10],
      [65_000, 66_100],
      [65_535, 131_080],
      [0, long.length],
      [long.length - 1, long.length],
    ].map(([start = 0, end = 0]) => ({ documentId: id, start, end }));
    const outside = [
      { documentId: id, start: 5, end: 5 },
      { documentId: id, start: -1, end: 5 },
      { documentId: id, start: long.length - 1, end: long.length + 1 },
      { documentId: '01a00000-0000-7000-8000-00000000ffff', start: 0, end: 1 },
    ];
    const slices = await server.knowledge.passages.storedSlices(scope, [...outside, ...spans]);
    expect(slices).toEqual(spans.map((span) => ({ ...span, text: long.slice(span.start, span.end) })));
  });

  test('neighbours are the passages around one, in the order of the document', async () => {
    const id = await added({ title: 'Weather once more', text: long });
    const ids = chunkIds(id);
    const around = await server.knowledge.passages.neighbours(scope, ids[4] ?? '', 2);
    expect(around.map((passage) => passage.chunkId)).toEqual(ids.slice(2, 7));
    const first = await server.knowledge.passages.neighbours(scope, ids[0] ?? '', 1);
    expect(first.map((passage) => passage.ordinal)).toEqual([0, 1]);
  });
});

describe('while a new version takes over', () => {
  test('the index holds both, the database shows one: the old until the new is ready, and never both or none', async () => {
    const id = await added({ text: 'Old words.' });
    const oldIds = chunkIds(id);
    const visible = async () => {
      const all = await sql<{ id: string }>`select id from chunks where document_id = ${id}`.execute(
        server.test.database.platform,
      );
      const passages = await server.knowledge.passages.readPassages(
        scope,
        all.rows.map((row) => row.id),
      );
      return passages.map((passage) => passage.text);
    };

    const release = server.index.hold();
    await revise(id, 'New words.', '');
    await until(
      async () => (await server.knowledge.indexFeed.takeIndexChanges(scope.tenantId, 10)).length > 0,
    );
    const during = await server.knowledge.indexFeed.chunksForIndex(scope.tenantId, id);
    expect(during).toMatchObject({ version: 2, title: 'New words.' });
    expect(during?.chunks.map((chunk) => [chunk.version, chunk.text])).toEqual([
      [1, 'Old words.'],
      [2, 'New words.'],
    ]);
    expect(during?.chunks[0]?.id).toBe(oldIds[0]);
    expect(await visible()).toEqual(['Old words.']);

    release();
    // Looked at as often as possible across the moment of the change.
    for (;;) {
      const now = await visible();
      expect(now).toHaveLength(1);
      if (now[0] === 'New words.') break;
    }
    await server.index.indexNow(scope.tenantId);
    expect(chunkIds(id)).toHaveLength(1);
    expect(chunkIds(id)).not.toEqual(oldIds);
    expect(await visible()).toEqual(['New words.']);
  });
});

describe('what the indexer reads', () => {
  test('changes stay until they are finished, each tenant its own', async () => {
    const other = await server.keyIn('two', 'operator');
    const release = server.index.hold();
    try {
      const replies = [
        await server.request(operator, 'POST', '/documents', { text: 'One to index.' }),
        await server.request(other, 'POST', '/documents', { text: 'Two to index.' }),
      ];
      const { indexFeed } = server.knowledge;
      const tenants = await until(async () => {
        const waiting = await indexFeed.tenantsWithIndexChanges();
        return waiting.length === 2 && waiting;
      });
      const seen = await Promise.all(tenants.map((tenant) => indexFeed.takeIndexChanges(tenant, 10)));
      expect(
        seen
          .flat()
          .map((change) => change.documentId)
          .sort(),
      ).toEqual(replies.map((reply) => reply.json.id).sort());
      const [first] = tenants;
      expect(await indexFeed.takeIndexChanges(first ?? '', 10)).toEqual(seen[0]);
      await indexFeed.finishIndexChanges(seen[0]?.map((change) => change.id) ?? []);
      expect(await indexFeed.takeIndexChanges(first ?? '', 10)).toEqual([]);
      expect(await indexFeed.tenantsWithIndexChanges()).toEqual([tenants[1]]);
      for (const change of seen.flat()) {
        const strange = tenants.map((tenant) => indexFeed.chunksForIndex(tenant, change.documentId));
        expect((await Promise.all(strange)).filter(Boolean)).toHaveLength(1);
      }
    } finally {
      release();
    }
  });

  test('a rebuild goes through every document with a text, with what the index must hold of it', async () => {
    const tenant = await server.keyIn('rebuilt', 'operator');
    const ids: string[] = [];
    for (const text of ['A.', 'B.', long, 'C.']) {
      ids.push((await server.request(tenant, 'POST', '/documents?wait=true', { text })).json.id);
    }
    await server.request(tenant, 'POST', '/documents?wait=true', { text: ' ' });
    const { rows } = await sql<{ id: string }>`select id from tenants where slug = 'rebuilt'`.execute(
      server.test.database.platform,
    );
    const tenantId = rows[0]?.id ?? '';
    const found: { documentId: string; chunkCount: number }[] = [];
    for (let after: string | null = null; ; ) {
      const page = await server.knowledge.indexFeed.indexableDocuments(tenantId, after, 3);
      found.push(...page);
      if (page.length < 3) break;
      after = page.at(-1)?.documentId ?? null;
    }
    expect(found.map((entry) => entry.documentId)).toEqual([...ids].sort());
    for (const { documentId, chunkCount } of found) {
      const document = await server.knowledge.indexFeed.chunksForIndex(tenantId, documentId);
      expect(document?.chunks).toHaveLength(chunkCount);
    }
  });
});
