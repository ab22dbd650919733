import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../platform/database/database.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import type { DeletionReceiptRow, DocumentRow, DocumentStatus, KnowledgeTables } from './knowledge-tables.ts';
import { keptMetadata, shownMetadata } from './masking/mask-metadata.ts';
import { maskedFields } from './masking/masking.store.ts';
import type { Content, Revision } from './revision.ts';
import {
  type Db,
  looseBlob,
  refuseHidingFromOneself,
  revise,
  takeBlob,
  tellIndex,
  type WriteResult,
} from './write-document.ts';

export interface NewDocument {
  readonly id: string;
  readonly tenantId: string;
  readonly externalId: string | null;
  readonly givenTitle: string | null;
  /** Shown until the file was read. */
  readonly provisionalTitle: string;
  /** Undefined: what the document under this external id has, or none. */
  readonly metadata: Revision['metadata'];
  readonly readers: Revision['readers'];
  readonly content: Content;
  readonly createdBy: string;
  readonly now: Date;
}

export type DocumentsStore = ReturnType<typeof createDocumentsStore>;

/** SQL of documents as callers see them: all of it inside `inTenant`, under row-level security and the readers' policy. */
export function createDocumentsStore(database: Database) {
  const inTenant = <T>(scope: DatabaseScope, work: (db: Db, tx: Tx) => Promise<T>): Promise<T> =>
    database.inTenant(scope, (tx) => work(tx.withTables<KnowledgeTables>(), tx));

  return {
    /**
     * Adds a document, or finds that it is there: under the same external id (which is then revised), or, without one,
     * with the same content, title, metadata and readers. Among concurrent calls with the same the first adds.
     */
    add: (scope: DatabaseScope, document: NewDocument): Promise<WriteResult> =>
      inTenant(scope, async (db, tx) => {
        const { content, externalId } = document;
        const masked = await maskedFields(db);
        await lock(tx, document.tenantId, externalId ?? content.hash.toString('hex'));
        const current = await (externalId === null
          ? twinOf(db, document, masked)
          : db
              .selectFrom('documents')
              .selectAll()
              .where('external_id', '=', externalId)
              .orderBy('id')
              .limit(1)
              .forUpdate()
              .executeTakeFirst());
        if (current) {
          const { givenTitle, metadata, readers, now } = document;
          const kept = metadata && keptMetadata(current.metadata, metadata, masked);
          const wanted = { title: givenTitle ?? undefined, metadata: kept, readers, content };
          return shownResult(await revise(db, current, wanted, now), masked);
        }
        await takeBlob(db, content.blobKey);
        const row = await db
          .insertInto('documents')
          .values(newRow(document))
          .returningAll()
          .executeTakeFirstOrThrow()
          .catch(refuseHidingFromOneself({ metadata: document.metadata }));
        return shownResult({ row, outcome: 'created', releasedBlob: null }, masked);
      }),

    /** @returns null when there is no such document for this caller. */
    revise: (scope: DatabaseScope, id: string, wanted: Revision, now: Date): Promise<WriteResult | null> =>
      inTenant(scope, async (db) => {
        const current = await db
          .selectFrom('documents')
          .selectAll()
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst();
        if (!current) return null;
        const masked = await maskedFields(db);
        const metadata = wanted.metadata && keptMetadata(current.metadata, wanted.metadata, masked);
        return shownResult(await revise(db, current, { ...wanted, metadata }, now), masked);
      }),

    byId: (scope: DatabaseScope, id: string): Promise<DocumentRow | undefined> =>
      inTenant(scope, async (db) => {
        const row = await db.selectFrom('documents').selectAll().where('id', '=', id).executeTakeFirst();
        return row && shownRow(row, await maskedFields(db));
      }),

    page: (
      scope: DatabaseScope,
      page: Page<PageCursor>,
      status: DocumentStatus | undefined,
    ): Promise<DocumentRow[]> =>
      inTenant(scope, async (db) => {
        let query = db.selectFrom('documents').selectAll();
        if (status) query = query.where('status', '=', status);
        const { after } = page;
        if (after) {
          query = query.where((eb) =>
            eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.createdAt, after.id)),
          );
        }
        const rows = await query
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(page.limit)
          .execute();
        const masked = await maskedFields(db);
        return rows.map((row) => shownRow(row, masked));
      }),

    /** The whole text of the version that answers; null without such a document, no version without a text yet. */
    text: (
      scope: DatabaseScope,
      id: string,
    ): Promise<{ status: DocumentStatus; version: number | null; text: string } | null> =>
      inTenant(scope, async (db) => {
        const document = await db
          .selectFrom('documents')
          .select(['status', 'searchable_version as version'])
          .where('id', '=', id)
          .executeTakeFirst();
        if (!document) return null;
        const parts = await db
          .selectFrom('document_texts')
          .select('text')
          .where('document_id', '=', id)
          .where('version', '=', document.version)
          .orderBy('start_offset')
          .execute();
        return { ...document, text: parts.map((part) => part.text).join('') };
      }),

    /**
     * Makes the document and all that the database holds of it disappear, and leaves a receipt, open until the other
     * places are done too. @returns null when there is no such document for this caller.
     */
    remove: (
      scope: DatabaseScope,
      id: string,
      request: { receiptId: string; by: string; now: Date },
    ): Promise<DeletionReceiptRow | null> =>
      inTenant(scope, async (db) => {
        const row = await db
          .selectFrom('documents')
          .select(['tenant_id', 'blob_key', 'readers', 'created_by'])
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst();
        if (!row) return null;
        const chunks = await db.deleteFrom('chunks').where('document_id', '=', id).executeTakeFirst();
        const texts = await db.deleteFrom('document_texts').where('document_id', '=', id).executeTakeFirst();
        await db.deleteFrom('documents').where('id', '=', id).execute();
        await looseBlob(db, row.blob_key, row.tenant_id, id, request.now);
        await tellIndex(db, row.tenant_id, id, 'delete', request.now);
        const removed = {
          document: 1,
          text: Number(texts.numDeletedRows),
          chunks: Number(chunks.numDeletedRows),
        };
        const receipt: DeletionReceiptRow = {
          id: request.receiptId,
          tenant_id: row.tenant_id,
          document_id: id,
          blob_key: row.blob_key,
          readers: row.readers,
          created_by: row.created_by,
          requested_by: request.by,
          requested_at: request.now,
          completed_at: null,
          attempts: 0,
          places: Object.entries(removed).map(([place, count]) => ({ place, removed: count, found: null })),
        };
        await db
          .insertInto('deletion_receipts')
          .values({ ...receipt, places: sql`${JSON.stringify(receipt.places)}::jsonb` })
          .execute();
        return receipt;
      }),

    receipt: (scope: DatabaseScope, documentId: string): Promise<DeletionReceiptRow | undefined> =>
      inTenant(scope, (db) =>
        db
          .selectFrom('deletion_receipts')
          .selectAll()
          .where('document_id', '=', documentId)
          .executeTakeFirst(),
      ),
  };
}

/** Rows leave the store as their reader may see them. */
function shownRow(row: DocumentRow, masked: readonly string[]): DocumentRow {
  const metadata = shownMetadata(row.metadata, masked);
  return metadata === row.metadata ? row : { ...row, metadata };
}

function shownResult(result: WriteResult, masked: readonly string[]): WriteResult {
  return { ...result, row: shownRow(result.row, masked) };
}

/** What is masked for the sender does not count: whether a guess at it was right must not show. */
function twinOf(db: Db, document: NewDocument, masked: readonly string[]) {
  return (
    db
      .selectFrom('documents')
      .selectAll()
      .where('external_id', 'is', null)
      .where('content_hash', '=', document.content.hash)
      .where(sql<boolean>`declared_type is not distinct from ${document.content.declaredType}`)
      .where(sql<boolean>`given_title is not distinct from ${document.givenTitle}`)
      .where(
        sql<boolean>`metadata - ${masked}::text[] = ${JSON.stringify(document.metadata ?? {})}::jsonb - ${masked}::text[]`,
      )
      .where(sql<boolean>`readers = ${document.readers ?? []}::text[]`)
      // One that works rather than one that failed.
      .orderBy(sql`status = 'failed'`)
      .orderBy('id')
      .limit(1)
      .forUpdate()
      .executeTakeFirst()
  );
}

function newRow(document: NewDocument): DocumentRow {
  const { content, now } = document;
  return {
    id: document.id,
    tenant_id: document.tenantId,
    external_id: document.externalId,
    title: document.givenTitle ?? document.provisionalTitle,
    given_title: document.givenTitle,
    status: 'queued',
    reason: null,
    detail: null,
    warnings: [],
    attempts: 0,
    version: 1,
    searchable_version: null,
    declared_type: content.declaredType,
    content_type: null,
    file_name: content.fileName,
    bytes: BigInt(content.bytes),
    content_hash: content.hash,
    blob_key: content.blobKey,
    text_length: null,
    chunk_count: null,
    metadata: document.metadata ?? {},
    readers: [...(document.readers ?? [])],
    created_by: document.createdBy,
    created_at: now,
    updated_at: now,
  };
}

/** One writer at a time for what must be unique among the documents a caller sees; held to the transaction's end. */
async function lock(tx: Tx, tenantId: string, key: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`document ${tenantId} ${key}`}, 0))`.execute(tx);
}
