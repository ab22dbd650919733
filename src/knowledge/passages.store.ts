import { type Kysely, sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import type { KnowledgeTables, Metadata, TextPart } from './knowledge-tables.ts';
import { sliceOf } from './text-parts.ts';

/** A chunk as a caller may see it. `text` is the stored text from `start` to `end` (UTF-16 code units). */
export interface Passage {
  readonly chunkId: string;
  readonly documentId: string;
  readonly title: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly heading: string;
  readonly ordinal: number;
  readonly metadata: Metadata;
}

export interface Span {
  readonly documentId: string;
  /** UTF-16 code units into the stored text. */
  readonly start: number;
  readonly end: number;
}

const maxAtOnce = 1_000;

export type PassagesStore = ReturnType<typeof createPassagesStore>;

/** Reads for search and answers: under row-level security and readers, of the version that answers and no other. */
export function createPassagesStore(database: Database) {
  const inTenant = <T>(scope: DatabaseScope, work: (db: Kysely<KnowledgeTables>) => Promise<T>): Promise<T> =>
    database.inTenant(scope, (tx) => work(tx.withTables<KnowledgeTables>()));

  const passages = (db: Kysely<KnowledgeTables>) =>
    db
      .selectFrom('chunks as c')
      .innerJoin('documents as d', (join) =>
        join.onRef('d.id', '=', 'c.document_id').onRef('d.searchable_version', '=', 'c.version'),
      )
      .select([
        'c.id as chunkId',
        'c.document_id as documentId',
        'd.title',
        'c.text',
        'c.start_offset as start',
        'c.end_offset as end',
        'c.heading',
        'c.ordinal',
        sql<Metadata>`shown_metadata(d.metadata, (select masked_fields()))`.as('metadata'),
      ]);

  return {
    /**
     * The passages of those ids that this caller may read now; others are left out without a word.
     * @param chunkIds at most 1,000. @returns in the order of the ids.
     */
    async readPassages(scope: DatabaseScope, chunkIds: readonly string[]): Promise<Passage[]> {
      bounded(chunkIds.length);
      if (chunkIds.length === 0) return [];
      const rows = await inTenant(scope, (db) =>
        passages(db).where('c.id', '=', sql<string>`any(${chunkIds}::uuid[])`).execute(),
      );
      const byId = new Map<string, Passage>(rows.map((row) => [row.chunkId, row]));
      return chunkIds.flatMap((id) => byId.get(id) ?? []);
    },

    /**
     * The passages around one: up to `reach` (at most 50) before and after it in its document, itself included, in the
     * document's order. Empty when the caller may not read it.
     */
    neighbours(scope: DatabaseScope, chunkId: string, reach: number): Promise<Passage[]> {
      const distance = Math.min(Math.max(0, Math.trunc(reach)), 50);
      return inTenant(scope, (db) =>
        passages(db)
          .innerJoin('chunks as middle', (join) =>
            join
              .onRef('middle.document_id', '=', 'c.document_id')
              .onRef('middle.version', '=', 'c.version')
              .on('middle.id', '=', chunkId),
          )
          .where(
            sql<boolean>`c.ordinal between middle.ordinal - ${distance} and middle.ordinal + ${distance}`,
          )
          .orderBy('c.ordinal')
          .execute(),
      );
    },

    /**
     * The stored text of each span, for comparing a citation with it; spans that the caller may not read, or that are
     * not within the text, are left out. @param spans at most 1,000.
     */
    async storedSlices(
      scope: DatabaseScope,
      spans: readonly Span[],
    ): Promise<(Span & { readonly text: string })[]> {
      bounded(spans.length);
      if (spans.length === 0) return [];
      const { rows } = await inTenant(scope, (db) =>
        sql<TextPart & { document_id: string }>`
          select distinct t.document_id, t.start_offset as start, t.end_offset as "end", t.text
          from json_to_recordset(${JSON.stringify(spans)}::json) as s ("documentId" uuid, start integer, "end" integer)
          join documents d on d.id = s."documentId"
          join document_texts t on t.document_id = d.id and t.version = d.searchable_version
            and t.start_offset < s."end" and t.end_offset > s.start`.execute(db),
      );
      const partsOf = Map.groupBy(rows, (row) => row.document_id);
      return spans.flatMap(({ documentId, start, end }) => {
        const text = sliceOf(partsOf.get(documentId) ?? [], start, end);
        return text === null ? [] : [{ documentId, start, end, text }];
      });
    },
  };
}

function bounded(count: number): void {
  if (count > maxAtOnce) throw new RangeError(`at most ${maxAtOnce} at once`);
}
