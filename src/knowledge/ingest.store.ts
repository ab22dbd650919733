import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import type { Chunk } from './chunking/chunk-text.ts';
import {
  type DocumentRow,
  type DocumentStatus,
  type KnowledgeTables,
  type TextPart,
  unfinishedStatuses,
} from './knowledge-tables.ts';
import { type Db, tellIndex } from './write-document.ts';

/** What was read out of a file, ready to be stored. */
export interface ReadDocument {
  readonly title: string;
  readonly contentType: string;
  readonly warnings: readonly string[];
  /** UTF-16 code units. */
  readonly textLength: number;
  readonly parts: Iterable<TextPart>;
  /** In order; drawn while the transaction is open. */
  readonly chunkBatches: AsyncIterable<readonly (Chunk & { readonly id: string })[]>;
}

export interface UnfinishedDocument {
  readonly id: string;
  readonly tenant_id: string;
  readonly version: number;
  readonly attempts: number;
  readonly blob_key: string;
}

export type IngestStore = ReturnType<typeof createIngestStore>;

/** Thrown inside a transaction to roll it back: a newer version or a deletion came first. */
class Superseded extends Error {}

/**
 * SQL of the ingest job, as the platform. Every write names document and version and does nothing once another version
 * has taken over, so that an old job can never undo what a newer one did.
 */
export function createIngestStore(database: Database) {
  const platform = database.platform.withTables<KnowledgeTables>();
  const unfinished = (id: string, version: number) =>
    platform
      .updateTable('documents')
      .where('id', '=', id)
      .where('version', '=', version)
      .where('status', 'in', unfinishedStatuses);

  return {
    /** Marks the version as being read, unless it already was. @returns null when there is nothing to do any more. */
    begin: async (id: string, version: number): Promise<DocumentRow | null> =>
      (await unfinished(id, version)
        .set({ status: sql`case when status = 'queued' then 'parsing' else status end` })
        .returningAll()
        .executeTakeFirst()) ?? null,

    /**
     * Stores text, chunks and the note for the index in one transaction, and drops what is left of versions in between.
     * The document's row is locked only at the end, so that a long text keeps nobody waiting.
     * @returns whether this version is still the one.
     */
    async storeText(row: DocumentRow, read: ReadDocument, now: Date): Promise<boolean> {
      try {
        await platform.transaction().execute(async (tx) => {
          for (const part of read.parts) await insertPart(tx, row, part);
          let chunkCount = 0;
          for await (const batch of read.chunkBatches) {
            await insertChunks(tx, row, batch);
            chunkCount += batch.length;
          }
          const current = await tx
            .updateTable('documents')
            .set({
              status: 'indexing',
              title: row.given_title ?? read.title,
              content_type: read.contentType,
              warnings: [...read.warnings],
              text_length: read.textLength,
              chunk_count: chunkCount,
              updated_at: now,
            })
            .where('id', '=', row.id)
            .where('version', '=', row.version)
            .where('status', '=', 'parsing')
            .returning('searchable_version')
            .executeTakeFirst();
          if (!current) throw new Superseded();
          await dropVersions(tx, row.id, [row.version, current.searchable_version ?? row.version]);
          await tellIndex(tx, row.tenant_id, row.id, 'upsert', now);
        });
        return true;
      } catch (error) {
        if (error instanceof Superseded) return false;
        throw error;
      }
    },

    /**
     * Lets search and answers see the version, from one moment to the next, and drops the one before. @returns whether
     * this version was still the one.
     */
    finish: (id: string, version: number, now: Date): Promise<boolean> =>
      platform.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable('documents')
          .set({ status: 'ready', searchable_version: version, updated_at: now })
          .where('id', '=', id)
          .where('version', '=', version)
          .where('status', '=', 'indexing')
          .returning('tenant_id')
          .executeTakeFirst();
        if (!row) return false;
        // The index still holds the chunks of the version before; it is told to let them go.
        if ((await dropVersions(tx, id, [version])) > 0)
          await tellIndex(tx, row.tenant_id, id, 'upsert', now);
        return true;
      }),

    /** @returns whether this version was still the one. */
    fail: async (id: string, version: number, failure: { reason: string; detail: string }, now: Date) =>
      (
        await unfinished(id, version)
          .set({ ...failure, status: 'failed', updated_at: now })
          .executeTakeFirst()
      ).numUpdatedRows > 0n,

    /** Documents on their way, in the order of their ids, after the given one. */
    unfinished: (after: string | null, limit: number): Promise<UnfinishedDocument[]> => {
      let query = platform
        .selectFrom('documents')
        .select(['id', 'tenant_id', 'version', 'attempts', 'blob_key'])
        .where('status', 'in', unfinishedStatuses);
      if (after !== null) query = query.where('id', '>', after);
      return query.orderBy('id').limit(limit).execute();
    },

    countAttempt: async (id: string, version: number): Promise<void> => {
      await unfinished(id, version)
        .set((eb) => ({ attempts: eb('attempts', '+', 1) }))
        .execute();
    },

    /** How many are on their way, by status: few, so counting them is cheap at any size of the whole. */
    countUnfinished: (): Promise<{ status: DocumentStatus; count: bigint }[]> =>
      platform
        .selectFrom('documents')
        .select((eb) => ['status', eb.fn.countAll<bigint>().as('count')])
        .where('status', 'in', unfinishedStatuses)
        .groupBy('status')
        .execute(),
  };
}

async function insertPart(db: Db, row: DocumentRow, part: TextPart): Promise<void> {
  await db
    .insertInto('document_texts')
    .values({
      document_id: row.id,
      version: row.version,
      tenant_id: row.tenant_id,
      start_offset: part.start,
      end_offset: part.end,
      text: part.text,
    })
    .execute();
}

/** One parameter for the whole batch: a statement per batch is planned once and sent once. */
async function insertChunks(db: Db, row: DocumentRow, batch: readonly (Chunk & { readonly id: string })[]) {
  await sql`
    insert into chunks (id, tenant_id, document_id, version, ordinal, start_offset, end_offset, heading, tokens, text)
    select c.id, ${row.tenant_id}, ${row.id}, ${row.version}, c.ordinal, c.start, c."end", c.heading, c.tokens, c.text
    from json_to_recordset(${JSON.stringify(batch)}::json)
      as c (id uuid, ordinal integer, start integer, "end" integer, heading text, tokens integer, text text)`.execute(
    db,
  );
}

/** @returns how many parts of text were dropped. */
async function dropVersions(db: Db, id: string, keep: readonly number[]): Promise<number> {
  await db.deleteFrom('chunks').where('document_id', '=', id).where('version', 'not in', keep).execute();
  const dropped = await db
    .deleteFrom('document_texts')
    .where('document_id', '=', id)
    .where('version', 'not in', keep)
    .executeTakeFirst();
  return Number(dropped.numDeletedRows);
}
