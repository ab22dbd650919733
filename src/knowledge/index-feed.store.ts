import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import { onlyPlace } from '../platform/place.ts';
import type { KnowledgeTables } from './knowledge-tables.ts';

/** Something the index of a tenant must still be told. */
export interface IndexChange {
  readonly id: bigint;
  readonly documentId: string;
  readonly change: 'upsert' | 'delete';
}

/** A chunk as the index takes it. */
export interface IndexableChunk {
  readonly id: string;
  readonly version: number;
  readonly ordinal: number;
  readonly start: number;
  readonly end: number;
  readonly heading: string;
  readonly tokens: number;
  readonly text: string;
}

export interface IndexableDocument {
  /** Its newest version. */
  readonly version: number;
  readonly title: string;
  readonly chunks: readonly IndexableChunk[];
}

export type IndexFeed = ReturnType<typeof createIndexFeed>;

/**
 * What the indexer reads, as the platform: it serves every tenant and shows nothing to a caller. Changes are written in
 * the transaction of what they tell of, once for each place that has an index, and removed only when that index has them.
 * @param place the data directory whose index is fed.
 */
export function createIndexFeed(database: Database, place: string = onlyPlace) {
  const platform = database.platform.withTables<KnowledgeTables>();

  return {
    async tenantsWithIndexChanges(): Promise<string[]> {
      const rows = await platform
        .selectFrom('index_changes')
        .select('tenant_id')
        .distinct()
        .where('place', '=', place)
        .execute();
      return rows.map((row) => row.tenant_id);
    },

    /** The oldest changes of a tenant. They stay until `finishIndexChanges`. */
    async takeIndexChanges(tenantId: string, limit: number): Promise<IndexChange[]> {
      const rows = await platform
        .selectFrom('index_changes')
        .select(['id', 'document_id', 'change'])
        .where('place', '=', place)
        .where('tenant_id', '=', tenantId)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map((row) => ({ id: row.id, documentId: row.document_id, change: row.change }));
    },

    /** The index has these. */
    async finishIndexChanges(ids: readonly bigint[]): Promise<void> {
      if (ids.length === 0) return;
      await platform
        .deleteFrom('index_changes')
        .where('id', '=', sql<bigint>`any(${ids.map(String)}::bigint[])`)
        .execute();
    },

    /**
     * All chunks that the index must hold of a document: those of the version that answers, and beside them those of a
     * newer one that is about to take over. Which of them a caller sees, the database says, so that nothing is missing
     * or doubled in between. @returns null when the document is gone or has no text yet.
     */
    async chunksForIndex(tenantId: string, documentId: string): Promise<IndexableDocument | null> {
      const rows = await platform
        .selectFrom('documents as d')
        .innerJoin('chunks as c', 'c.document_id', 'd.id')
        .select([
          'd.version as newest',
          'd.title',
          'c.id',
          'c.version',
          'c.ordinal',
          'c.start_offset as start',
          'c.end_offset as end',
          'c.heading',
          'c.tokens',
          'c.text',
        ])
        .where('d.id', '=', documentId)
        .where('d.tenant_id', '=', tenantId)
        .orderBy('c.version')
        .orderBy('c.ordinal')
        .execute();
      const first = rows[0];
      if (!first) return null;
      return {
        version: first.newest,
        title: first.title,
        chunks: rows.map(({ newest: _newest, title: _title, ...chunk }) => chunk),
      };
    },

    /**
     * Documents with a text, in the order of their ids, after the given one, and how many chunks the index must hold of
     * each: what an index is rebuilt from, or compared with.
     */
    async indexableDocuments(
      tenantId: string,
      after: string | null,
      limit: number,
    ): Promise<{ documentId: string; chunkCount: number }[]> {
      let query = platform
        .selectFrom('documents as d')
        .select((eb) => [
          'd.id as documentId',
          eb
            .selectFrom('chunks as c')
            .select((of) => of.fn.countAll<bigint>().as('count'))
            .whereRef('c.document_id', '=', 'd.id')
            .as('chunkCount'),
        ])
        .where('d.tenant_id', '=', tenantId)
        .where('d.text_length', 'is not', null);
      if (after !== null) query = query.where('d.id', '>', after);
      const rows = await query.orderBy('d.id').limit(limit).execute();
      return rows.map((row) => ({ documentId: row.documentId, chunkCount: Number(row.chunkCount ?? 0n) }));
    },
  };
}
