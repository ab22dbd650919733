import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { IndexChanges, IndexGeneration, SearchIndex } from '../../src/retrieval/index/search-index.ts';
import { indexRow, upsert, WORDS_ONLY } from './search-index-rows.ts';

const WITH_VECTORS: IndexGeneration = { number: 2, dimensions: 4 };

const remove = (...deleteDocuments: string[]): IndexChanges => ({ upsertDocuments: [], deleteDocuments });

/**
 * What every engine behind `SearchIndex` must do. `create` gives an index on an empty store; the suite uses many
 * tenants on it and stops it at the end.
 */
export function searchIndexContract(create: () => Promise<SearchIndex>): void {
  let index: SearchIndex;
  let tenants = 0;
  const newTenant = () => `tenant-${++tenants}`;

  beforeAll(async () => {
    index = await create();
  });
  afterAll(() => index.stop());

  const find = async (tenantId: string, query: string, limit = 10) =>
    (await index.lexical(tenantId, WORDS_ONLY, query, { limit })).map(({ chunkId }) => chunkId);

  describe('what is not there', () => {
    it('reads as empty and says that it is absent', async () => {
      const tenant = newTenant();
      expect(await find(tenant, 'anything')).toEqual([]);
      expect(await index.vector(tenant, WITH_VECTORS, new Float32Array(4), { limit: 5 })).toEqual([]);
      expect(await index.count(tenant, WORDS_ONLY)).toBe(0);
      expect(await index.documents(tenant, WORDS_ONLY)).toEqual(new Map());
      expect(await index.statistics(tenant, WORDS_ONLY)).toMatchObject({ state: 'absent', rows: 0 });
      await index.optimise(tenant, WORDS_ONLY);
      await index.drop(tenant);
    });
  });

  describe('words', () => {
    const tenant = newTenant();
    beforeAll(() =>
      index.apply(
        tenant,
        WORDS_ONLY,
        upsert(
          indexRow('a.1', 'Budgets reserve the estimated cost of a call.', {
            title: 'Costs',
            heading: 'Reservations',
          }),
          indexRow('a.2', 'Cafés in Zürich close early.'),
          indexRow('b.1', '東京都の人口は約千四百万人です。'),
          indexRow('b.2', 'The Who played in London.'),
        ),
      ),
    );

    it.each([
      ['the very word', 'estimated', ['a.1']],
      ['another form of it', 'estimating', ['a.1']],
      ['the title', 'costs', ['a.1']],
      ['the heading', 'reservation', ['a.1']],
      ['a word without its accent', 'cafe zurich', ['a.2']],
      ['a word with an accent that the text lacks', 'Lóndön', ['b.2']],
      ['Japanese', '人口', ['b.1']],
      ['nothing but stop words', 'the who', ['b.2', 'a.1']],
      ['nothing that is there', 'helicopter', []],
      ['no words', ' ?! ', []],
    ])('finds %s', async (_, query, expected) => {
      expect(await find(tenant, query)).toEqual(expected);
    });

    it('takes nothing in a query for an operator', async () => {
      const queries = [
        '"',
        'a:b',
        'cost AND (',
        '+cost -call',
        'cost*',
        'cost~2',
        '\\',
        "'; drop",
        '\u0000',
        '👍',
        '/.*/',
      ];
      for (const query of queries) await expect(find(tenant, query), query).resolves.toBeInstanceOf(Array);
      expect(await find(tenant, '+estimated -"cost":(call)^3')).toEqual(['a.1']);
      expect(await find(tenant, `estimated ${'word '.repeat(25_000)}`)).toEqual(['a.1']);
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (query) => {
          await find(tenant, query);
        }),
        { numRuns: 100 },
      );
    });

    it('searches only the documents it is told to', async () => {
      const narrowed = (documentIds: string[]) =>
        index.lexical(tenant, WORDS_ONLY, 'the cost in London', { limit: 10, documentIds });
      expect((await narrowed(['b'])).map(({ chunkId }) => chunkId)).toEqual(['b.2']);
      expect(await narrowed([])).toEqual([]);
      expect(await narrowed(['unknown'])).toEqual([]);
    });
  });

  it('keeps the best matches within the limit, indexed or not', async () => {
    const tenant = newTenant();
    const rows = Array.from({ length: 40 }, (_, n) =>
      indexRow(`d${n}.1`, `${'limit '.repeat(1 + ((n * 7) % 40))}${'filler '.repeat(60)}`),
    );
    const best = rows
      .toSorted((a, b) => b.text.split('limit').length - a.text.split('limit').length)
      .slice(0, 3);
    const expected = best.map(({ chunkId }) => chunkId);
    for (const half of [rows.slice(0, 20), rows.slice(20)])
      await index.apply(tenant, WORDS_ONLY, upsert(...half));
    expect(await find(tenant, 'limit', 3)).toEqual(expected);
    await index.optimise(tenant, WORDS_ONLY, { force: true });
    expect(await find(tenant, 'limit', 3)).toEqual(expected);
    const scores = (await index.lexical(tenant, WORDS_ONLY, 'limit', { limit: 40 })).map(
      ({ score }) => score,
    );
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(scores).toHaveLength(40);
  });

  describe('changes', () => {
    it('leave one copy when they are replayed', async () => {
      const tenant = newTenant();
      const changes = upsert(indexRow('a.1', 'one'), indexRow('a.2', 'two'), indexRow('b.1', 'three'));
      for (let time = 0; time < 3; time++) await index.apply(tenant, WORDS_ONLY, changes);
      expect(await index.documents(tenant, WORDS_ONLY)).toEqual(
        new Map([
          ['a', 2],
          ['b', 1],
        ]),
      );
      expect(await find(tenant, 'one')).toEqual(['a.1']);
    });

    it('replace a document whole', async () => {
      const tenant = newTenant();
      await index.apply(
        tenant,
        WORDS_ONLY,
        upsert(indexRow('a.1', 'old'), indexRow('a.2', 'old'), indexRow('b.1', 'old')),
      );
      await index.apply(tenant, WORDS_ONLY, upsert(indexRow('a.1', 'new'), indexRow('a.3', 'new')));
      expect(await find(tenant, 'old')).toEqual(['b.1']);
      expect((await find(tenant, 'new')).sort()).toEqual(['a.1', 'a.3']);
    });

    it('delete, and prove it', async () => {
      const tenant = newTenant();
      await index.apply(
        tenant,
        WORDS_ONLY,
        upsert(indexRow('a.1', 'gone'), indexRow('b.1', 'gone'), indexRow('c.1', 'kept')),
      );
      await index.apply(tenant, WORDS_ONLY, remove('a', 'never-there'));
      await index.apply(tenant, WORDS_ONLY, {
        upsertDocuments: [{ documentId: 'b', rows: [] }],
        deleteDocuments: [],
      });
      expect(await find(tenant, 'gone')).toEqual([]);
      expect(await index.count(tenant, WORDS_ONLY, 'a')).toBe(0);
      expect(await index.count(tenant, WORDS_ONLY)).toBe(1);
      await index.apply(tenant, WORDS_ONLY, { ...upsert(indexRow('d.1', 'kept')), deleteDocuments: ['c'] });
      expect(await find(tenant, 'kept')).toEqual(['d.1']);
    });

    it('of other tenants and generations are not seen', async () => {
      const [one, other] = [newTenant(), newTenant()];
      const next: IndexGeneration = { number: 2, dimensions: null };
      await index.apply(one, WORDS_ONLY, upsert(indexRow('a.1', 'secret of one')));
      await index.apply(other, WORDS_ONLY, upsert(indexRow('a.1', 'plain of other')));
      await index.apply(one, next, upsert(indexRow('a.9', 'secret of the next generation')));
      expect(await find(other, 'secret')).toEqual([]);
      expect(await find(one, 'secret')).toEqual(['a.1']);
      await index.apply(other, WORDS_ONLY, remove('a'));
      expect(await find(one, 'secret')).toEqual(['a.1']);
      await index.drop(one, 2);
      expect(await index.statistics(one, next)).toMatchObject({ state: 'absent' });
      expect(await find(one, 'secret')).toEqual(['a.1']);
      await index.drop(one);
      expect(await find(one, 'secret')).toEqual([]);
      await index.apply(one, WORDS_ONLY, upsert(indexRow('a.1', 'secret again')));
      expect(await find(one, 'secret')).toEqual(['a.1']);
    });

    it('made at the same time end as if made one after the other', async () => {
      const document = fc.constantFrom('a', 'b', 'c', 'd');
      const change = fc.record({ document, rows: fc.nat(3), optimise: fc.boolean() });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
          const tenant = newTenant();
          const expected = new Map<string, number>();
          const writes = changes.map(({ document: id, rows, optimise }, number) => {
            expected.delete(id);
            if (rows > 0) expected.set(id, rows);
            const its = Array.from({ length: rows }, (_, n) => indexRow(`${id}.${n}`, `write${number}`));
            const applied = index.apply(tenant, WORDS_ONLY, {
              upsertDocuments: [{ documentId: id, rows: its }],
              deleteDocuments: [],
            });
            return optimise
              ? Promise.all([applied, index.optimise(tenant, WORDS_ONLY, { force: true })])
              : applied;
          });
          await Promise.all(writes);
          expect(await index.documents(tenant, WORDS_ONLY)).toEqual(expected);
        }),
        { numRuns: 15 },
      );
    });

    it('are found at once, also while the index is being optimised', async () => {
      const tenant = newTenant();
      await index.apply(
        tenant,
        WORDS_ONLY,
        upsert(...Array.from({ length: 300 }, (_, n) => indexRow(`x.${n}`, 'filler'))),
      );
      const optimising = index.optimise(tenant, WORDS_ONLY, { force: true });
      for (let n = 0; n < 5; n++) {
        await index.apply(tenant, WORDS_ONLY, upsert(indexRow(`n${n}.1`, `fresh${n}`)));
        expect(await find(tenant, `fresh${n}`)).toEqual([`n${n}.1`]);
      }
      await optimising;
      expect(await index.count(tenant, WORDS_ONLY)).toBe(305);
    });

    it('that are small and many do not pile up', async () => {
      const tenant = newTenant();
      for (let n = 0; n < 150; n++)
        await index.apply(tenant, WORDS_ONLY, upsert(indexRow(`n${n}.1`, 'small write')));
      await vi.waitFor(
        async () => {
          const { fragments, unindexedRows } = await index.statistics(tenant, WORDS_ONLY);
          expect(fragments).toBeLessThan(64);
          expect(unindexedRows).toBeLessThan(64);
        },
        { timeout: 20_000 },
      );
      await index.optimise(tenant, WORDS_ONLY, { force: true });
      expect(await index.statistics(tenant, WORDS_ONLY)).toMatchObject({
        state: 'ready',
        rows: 150,
        unindexedRows: 0,
      });
    });

    it('that do not fit are refused, and change nothing', async () => {
      const tenant = newTenant();
      const refused = (changes: IndexChanges, generation = WORDS_ONLY) =>
        expect(index.apply(tenant, generation, changes)).rejects.toMatchObject({ code: 'invalid' });
      await refused(upsert(indexRow("a'b.1", 'quote')));
      await refused(remove('x"; delete'));
      await refused(upsert(indexRow('a.1', 'one'), indexRow('a.1', 'twice')));
      await refused({ ...upsert(indexRow('a.1', 'both')), deleteDocuments: ['a'] });
      await refused({
        upsertDocuments: [{ documentId: 'b', rows: [indexRow('a.1', 'foreign')] }],
        deleteDocuments: [],
      });
      await refused(upsert(indexRow('a.1', 'vector', { vector: new Float32Array(4) })));
      await refused(upsert(indexRow('a.1', 'vector', { vector: new Float32Array(3) })), WITH_VECTORS);
      await expect(index.apply('../up', WORDS_ONLY, upsert(indexRow('a.1', 'x')))).rejects.toMatchObject({
        code: 'invalid',
      });
      await expect(index.lexical(tenant, WORDS_ONLY, 'x', { limit: 0 })).rejects.toMatchObject({
        code: 'invalid',
      });
      expect(await index.statistics(tenant, WORDS_ONLY)).toMatchObject({ state: 'absent' });
    });
  });

  describe('vectors', () => {
    const tenant = newTenant();
    const nearest = async (numbers: number[], limit = 10, documentIds?: string[]) =>
      index.vector(tenant, WITH_VECTORS, new Float32Array(numbers), {
        limit,
        ...(documentIds && { documentIds }),
      });
    beforeAll(() =>
      index.apply(
        tenant,
        WITH_VECTORS,
        upsert(
          indexRow('a.1', 'north', { vector: new Float32Array([1, 0, 0, 0]) }),
          indexRow('a.2', 'north-east', { vector: new Float32Array([3, 3, 0, 0]) }),
          indexRow('b.1', 'east', { vector: new Float32Array([0, 2, 0, 0]) }),
          indexRow('b.2', 'nowhere yet'),
        ),
      ),
    );

    it('are compared by direction, not by length', async () => {
      const found = await nearest([2, 0.1, 0, 0]);
      expect(found.map(({ chunkId }) => chunkId)).toEqual(['a.1', 'a.2', 'b.1']);
      expect(found[0]?.score).toBeCloseTo(2 / Math.hypot(2, 0.1), 4);
      expect((await nearest([0, 1, 0, 0], 1)).map(({ chunkId }) => chunkId)).toEqual(['b.1']);
      expect((await nearest([0, 1, 0, 0], 9, ['a'])).map(({ chunkId }) => chunkId)).toEqual(['a.2', 'a.1']);
    });

    it('are beside the words, not instead of them', async () => {
      expect(await index.lexical(tenant, WITH_VECTORS, 'nowhere', { limit: 5 })).toMatchObject([
        { chunkId: 'b.2' },
      ]);
    });

    it('of another length are refused', async () => {
      await expect(nearest([1, 2, 3])).rejects.toMatchObject({ code: 'invalid' });
      expect(await index.vector(tenant, WORDS_ONLY, new Float32Array(3), { limit: 5 })).toEqual([]);
    });
  });

  it('takes no more calls once it is stopped, and finishes those it took', async () => {
    const stopping = await create();
    const tenant = newTenant();
    const writes = Array.from({ length: 5 }, (_, n) =>
      stopping.apply(tenant, WORDS_ONLY, upsert(indexRow(`d${n}.1`, 'last'))),
    );
    await stopping.stop();
    await Promise.all(writes);
    await expect(stopping.lexical(tenant, WORDS_ONLY, 'last', { limit: 5 })).rejects.toMatchObject({
      code: 'shutting_down',
    });
    await expect(stopping.apply(tenant, WORDS_ONLY, remove('d1'))).rejects.toMatchObject({
      code: 'shutting_down',
    });
    await stopping.stop();
  });
}
