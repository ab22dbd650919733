import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RetrievalServer, startRetrievalServer } from '../../test/harness/retrieval.ts';
import type { IndexQueryOptions } from './index/search-index.ts';

let server: RetrievalServer;
let operator: string;
let analyst: string;

/** What the index was asked. */
const asked: (IndexQueryOptions & { tenantId: string })[] = [];

beforeAll(async () => {
  server = await startRetrievalServer({
    wrapIndex: (index) => ({
      ...index,
      lexical: (tenantId, generation, query, options) => {
        asked.push({ ...options, tenantId });
        return index.lexical(tenantId, generation, query, options);
      },
    }),
  });
  operator = await server.keyIn('one', 'operator');
  analyst = await server.keyIn('one', 'analyst');
});
afterAll(() => server?.stop());

async function search(key: string, body: object) {
  const reply = await server.request(key, 'POST', '/search', body);
  expect(reply.status, reply.text).toBe(200);
  return reply.json;
}

const titles = (found: { hits: { title: string }[] }) => found.hits.map(({ title }) => title);

describe('search', () => {
  it('finds nothing, without an error, where there are no documents', async () => {
    const lonely = await server.keyIn('lonely', 'analyst');
    expect(await search(lonely, { query: 'anything' })).toMatchObject({ hits: [], mode: 'lexical' });
  });

  it('gives passages whose text is the stored text, with the words that were found', async () => {
    const text =
      '# Café rules\n\nThe café opens at nine — 😀 always.\n\n# Refunds\n\nRefunds are paid within five days.';
    const id = await server.add(operator, 'House rules', text, { metadata: { year: 2024, public: true } });
    const { hits, mode, correlation_id } = await search(analyst, { query: 'when is a refund paid?' });
    expect(mode).toBe('lexical');
    expect(correlation_id).toBeTypeOf('string');
    const [hit] = hits;
    expect(hit).toMatchObject({
      document_id: id,
      title: 'House rules',
      metadata: { year: 2024, public: true },
    });
    const stored = await server.request(analyst, 'GET', `/documents/${id}/text`);
    expect(hit.text).toBe(stored.json.text.slice(hit.start, hit.end));
    expect(hit.score).toBeGreaterThan(0);
    expect(hit.score).toBeLessThanOrEqual(1);
    const marked = hit.highlights.map(({ start, end }: { start: number; end: number }) =>
      text.slice(start, end),
    );
    expect(marked).toEqual(['Refunds', 'Refunds', 'paid']);
  });

  it('narrows to documents and to metadata', async () => {
    const eu = await server.add(operator, 'EU terms', 'Parcels arrive in Zürich.', {
      metadata: { region: 'eu' },
    });
    await server.add(operator, 'US terms', 'Parcels arrive in Boston.', { metadata: { region: 'us' } });
    const query = 'parcels arrive';
    expect(titles(await search(analyst, { query })).sort()).toEqual(['EU terms', 'US terms']);
    expect(titles(await search(analyst, { query, filters: { metadata: { region: 'us' } } }))).toEqual([
      'US terms',
    ]);
    expect(titles(await search(analyst, { query, filters: { document_ids: [eu] } }))).toEqual(['EU terms']);
    const none = { document_ids: [eu], metadata: { region: 'us' } };
    expect(titles(await search(analyst, { query, filters: none }))).toEqual([]);
  });

  it('refuses what it cannot understand, and a search by meaning without a model, saying what is missing', async () => {
    const status = async (body: object) => (await server.request(analyst, 'POST', '/search', body)).status;
    expect(await status({ query: '   ' })).toBe(422);
    expect(await status({ query: 'x'.repeat(2_001) })).toBe(422);
    expect(await status({ query: 'x', limit: 51 })).toBe(422);
    expect(await status({ query: 'x', filters: { document_ids: ['no id'] } })).toBe(422);
    const vector = await server.request(analyst, 'POST', '/search', { query: 'x', mode: 'vector' });
    expect(vector.status).toBe(422);
    expect(vector.json).toMatchObject({ code: 'no_model_configured' });
    expect(vector.json.detail).toContain('PUT /api/v1/routes/embeddings');
    expect(await search(analyst, { query: 'refund', mode: 'hybrid' })).toMatchObject({ mode: 'lexical' });
    const viewer = await server.keyIn('one', 'viewer');
    expect((await server.request(viewer, 'POST', '/search', { query: 'x' })).status).toBe(403);
  });

  it('finds the new text of a document and no longer the old', async () => {
    const id = await server.add(operator, 'Changing', 'The zebra crossing is closed.');
    await server.request(operator, 'PUT', `/documents/${id}?wait=true`, {
      text: 'The giraffe crossing is open.',
    });
    expect(titles(await search(analyst, { query: 'giraffe' }))).toEqual(['Changing']);
    expect(titles(await search(analyst, { query: 'zebra' }))).toEqual([]);
  });

  it('keeps tenants, readers and deletions apart, and nothing of the hidden shows', async () => {
    const other = await server.keyIn('two', 'admin');
    await server.add(other, 'Theirs', 'The walrus password is tusk.');
    const mine = await server.add(operator, 'Mine', 'The walrus eats fish.');
    const alone = await search(analyst, { query: 'walrus password' });
    expect(titles(alone)).toEqual(['Mine']);

    const acl = { roles: [], groups: ['hr'], users: [] };
    const admin = await server.keyIn('one', 'admin');
    const hidden = [];
    for (let n = 0; n < 5; n++) {
      hidden.push(
        await server.add(admin, `HR ${n}`, `The walrus password is number ${n}, walrus password.`, { acl }),
      );
    }
    const beside = await search(analyst, { query: 'walrus password' });
    const { correlation_id: _, ...before } = alone;
    expect(beside).toMatchObject(before);
    expect(
      titles(await search(await server.keyIn('one', 'analyst', ['hr']), { query: 'walrus password' })),
    ).toContain('HR 3');
    const narrowed = await search(analyst, { query: 'walrus', filters: { document_ids: [hidden[0], mine] } });
    expect(titles(narrowed)).toEqual(['Mine']);

    await server.request(operator, 'DELETE', `/documents/${mine}`);
    expect(titles(await search(analyst, { query: 'walrus password' }))).toEqual([]);
  });

  it('finds what a caller may read behind any number of hidden passages, and asks for no more than it may', async () => {
    const admin = await server.keyIn('deep', 'admin');
    const reader = await server.keyIn('deep', 'analyst');
    const acl = { roles: [], groups: ['board'], users: [] };
    const filler = 'Of these minutes nobody shall speak. '.repeat(45);
    const part = (n: number) => `# Part ${n}\n\nOtter otter otter minutes of meeting ${n}. ${filler}`;
    for (const from of [0, 450]) {
      const text = Array.from({ length: 450 }, (_, n) => part(from + n)).join('\n\n');
      await server.add(admin, `Otter minutes ${from}`, text, { acl });
    }
    await server.add(
      admin,
      'Facts for all',
      'Somewhere in this long text about rivers an otter is named once.',
    );
    await search(admin, { query: 'otter' });
    asked.length = 0;
    expect(titles(await search(reader, { query: 'otter' }))).toEqual(['Facts for all']);
    // Checks of indexes ask for one passage at a time, whenever they come.
    const forThis = asked.filter(({ tenantId, limit }) => tenantId === server.tenantId('deep') && limit > 1);
    expect(forThis.map(({ limit, documentIds }) => [limit, documentIds?.length])).toEqual([
      [100, undefined],
      [200, undefined],
      [400, undefined],
      [800, undefined],
      [100, 1],
    ]);
    expect((await search(admin, { query: 'otter', limit: 50 })).hits).toHaveLength(50);
  });

  it('finds the best of thousands that a caller may read among thousands that they may not', async () => {
    const reader = await server.keyIn('wide', 'analyst');
    const tenant = server.tenantId('wide');
    const best = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
    // As if they had been added and read: each a document with one passage, and the best of the readable ones is the last.
    const rows = sql`select i, case when i = 0 then ${best}::uuid else gen_random_uuid() end as id,
      case when i > 1100 then 'Otter river delta otter river delta.'
        when i = 0 then 'Somewhere in this long text about much else there are an otter, a river and a delta, each once.'
        else 'Here is an otter in a long text about much else that nobody asked for, and about nothing more.' end as text
      from generate_series(0, 2000) i`;
    await sql`with given as materialized (${rows}), added as (
        insert into documents (id, tenant_id, title, status, version, searchable_version, bytes, content_hash, blob_key,
          text_length, chunk_count, readers, created_by, created_at, updated_at)
        select id, ${tenant}, 'Number ' || i, 'ready', 1, 1, 1, '\\x00', 'none/' || i, length(text), 1,
          case when i > 1100 then '{group:board}'::text[] else '{}' end, 'user:test', now(), now() from given),
      cut as (
        insert into chunks (id, tenant_id, document_id, version, ordinal, start_offset, end_offset, heading, tokens, text)
        select gen_random_uuid(), ${tenant}, id, 1, 0, 0, length(text), '', 20, text from given)
      insert into index_changes (tenant_id, document_id, change, created_at)
        select ${tenant}, id, 'upsert', now() from given`.execute(server.test.database.platform);
    await server.retrieval.indexNow(tenant);
    const { hits } = await search(reader, { query: 'otter river delta' });
    expect(hits[0].document_id).toBe(best);
  });
});
