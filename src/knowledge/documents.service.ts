import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import { isUuid, type NewId } from '../platform/ids.ts';
import type { JobQueue } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import { type Acl, readersOf } from './acl.ts';
import type { BlobPlaces } from './blob-places.ts';
import { type DeletionInput, deletionJobId } from './deletion.ts';
import type { DocumentsStore } from './documents.store.ts';
import { type IndexNow, type IngestInput, ingestJobId } from './ingest.ts';
import type { DeletionReceiptRow, DocumentRow, DocumentStatus, Metadata } from './knowledge-tables.ts';
import type { ReceivedFile, ReceivedFiles } from './received-files.ts';
import type { Revision } from './revision.ts';
import type { Settlements } from './settlements.ts';
import { cleanTitle, provisionalTitle } from './title.ts';
import type { WriteResult } from './write-document.ts';

export interface DocumentsDependencies {
  readonly store: DocumentsStore;
  readonly files: ReceivedFiles;
  readonly blobPlaces: BlobPlaces;
  readonly ingests: JobQueue<IngestInput>;
  readonly deletions: JobQueue<DeletionInput>;
  readonly indexNow: IndexNow;
  readonly settlements: Settlements;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  /** Whether a tenant has a role of that name. */
  readonly knowsRole: (tenantId: string, role: string) => boolean;
}

/** What can be said of a document; absent members stay as they are, or take their defaults. */
export interface DocumentFacts {
  readonly title?: string | undefined;
  readonly metadata?: Metadata | undefined;
  readonly acl?: Acl | undefined;
}

export type Documents = ReturnType<typeof createDocuments>;

/** How long `?wait=true` waits. */
const ingestWaitMs = 60_000;
/** How long a deletion's caller waits for a complete receipt. */
const deletionWaitMs = 5_000;

/** Documents as their owners handle them. All of it under the caller's rights; absent and hidden are the same. */
export function createDocuments(deps: DocumentsDependencies) {
  const { store, files, clock, newId, log, settlements } = deps;

  /** Work for what was just committed. Should this fail, the reconciler finds the row; the caller was served. */
  const enqueueIngest = (row: DocumentRow): Promise<void> =>
    deps.ingests
      .enqueue(
        ingestJobId(row.id, row.version),
        row.tenant_id,
        { documentId: row.id, tenantId: row.tenant_id, version: row.version },
        deps.blobPlaces.placeOf(row.blob_key),
      )
      .catch((error) =>
        log.warn({ err: error, document: row.id }, 'ingest was not enqueued; the reconciler will'),
      );

  const enqueueDeletion = (receipt: DeletionReceiptRow): Promise<void> =>
    deps.deletions
      .enqueue(deletionJobId(receipt.id), receipt.tenant_id, { receiptId: receipt.id })
      .catch((error) =>
        log.warn(
          { err: error, document: receipt.document_id },
          'deletion was not enqueued; the reconciler will',
        ),
      );

  const written = async (principal: Principal, result: WriteResult): Promise<WriteResult> => {
    if (result.releasedBlob) await files.drop(principal, result.releasedBlob);
    if (result.outcome === 'created' || result.outcome === 'replaced') await enqueueIngest(result.row);
    // A new title reaches the index soon; nobody waits for it, and what is not told now is told with the next change.
    if (result.outcome === 'updated') {
      void deps.indexNow(principal.tenantId).catch((error) => log.warn({ err: error }, 'index not told yet'));
    }
    return result;
  };

  /** A refusal leaves the file to nobody. After any other failure it may have been taken: the lease decides. */
  const orDrop = async <T>(
    principal: Principal,
    file: ReceivedFile | undefined,
    work: Promise<T>,
  ): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (file && error instanceof AppError) await files.drop(principal, file.blobKey);
      throw error;
    }
  };

  const byId = async (principal: Principal, id: string): Promise<DocumentRow> => {
    const row = isUuid(id) ? await store.byId(principal, id) : undefined;
    if (!row) throw notFound('document');
    return row;
  };

  /** @throws AppError `invalid` naming a role that is none: a slip would hide the document from everybody. */
  const readers = ({ tenantId }: Principal, acl: Acl | undefined): string[] | undefined => {
    const place = acl?.roles.findIndex((role) => !deps.knowsRole(tenantId, role)) ?? -1;
    if (acl === undefined || place < 0) return acl && readersOf(acl);
    throw new AppError('invalid', `There is no role "${acl.roles[place]}". See GET /api/v1/roles.`, {
      errors: [{ path: `acl.roles.${place}`, message: 'there is no such role' }],
    });
  };

  return {
    files,

    /**
     * Adds a document, or finds the one that is there already; what `WriteResult.outcome` tells. Durable when this
     * resolves. The file is taken over, or cleared away when it was not needed.
     */
    async add(
      principal: Principal,
      file: ReceivedFile,
      facts: DocumentFacts & { readonly externalId?: string | undefined },
    ): Promise<WriteResult> {
      const adding = async () =>
        store.add(principal, {
          id: newId(),
          tenantId: principal.tenantId,
          externalId: facts.externalId ?? null,
          givenTitle: facts.title ?? null,
          provisionalTitle: cleanTitle(provisionalTitle(file.fileName, file.beginning)) ?? 'Untitled',
          metadata: facts.metadata,
          readers: readers(principal, facts.acl),
          content: file,
          createdBy: `user:${principal.userId ?? principal.keyId}`,
          now: clock.now(),
        });
      return written(principal, await orDrop(principal, file, adding()));
    },

    /** Changes what is given of a document. New content becomes a new version; the old one answers until it is ready. */
    async revise(
      principal: Principal,
      id: string,
      facts: DocumentFacts,
      file?: ReceivedFile,
    ): Promise<WriteResult> {
      const revising = async () => {
        const wanted: Revision = {
          title: facts.title,
          metadata: facts.metadata,
          readers: readers(principal, facts.acl),
          content: file,
        };
        const result = isUuid(id) ? await store.revise(principal, id, wanted, clock.now()) : null;
        if (!result) throw notFound('document');
        return result;
      };
      return written(principal, await orDrop(principal, file, revising()));
    },

    byId,

    documents: (
      principal: Principal,
      page: Page<PageCursor>,
      status?: DocumentStatus,
    ): Promise<DocumentRow[]> => store.page(principal, page, status),

    /** The text that offsets of passages and citations refer to. @throws AppError `conflict` while there is none. */
    async text(principal: Principal, id: string): Promise<{ version: number; text: string }> {
      const found = isUuid(id) ? await store.text(principal, id) : null;
      if (!found) throw notFound('document');
      if (found.version === null) {
        throw new AppError('conflict', `The document has no text yet; its status is ${found.status}.`, {
          extra: { status: found.status },
        });
      }
      return { version: found.version, text: found.text };
    },

    /**
     * Waits, at most a minute, until this version of the document is ready or failed, or a newer one took over.
     * @returns the document as it is then.
     */
    async settled(principal: Principal, row: DocumentRow): Promise<DocumentRow> {
      const isOver = (now: DocumentRow) =>
        now.status === 'ready' || now.status === 'failed' || now.version !== row.version;
      const over = await settlements.waitFor(row.id, ingestWaitMs, async () => {
        const now = await byId(principal, row.id);
        return isOver(now) ? now : null;
      });
      return over ?? byId(principal, row.id);
    },

    /**
     * Deletes: nothing answers from the document once this resolves. Waits a few seconds for the receipt to be complete.
     * @returns the receipt; `completed_at` is null while places are still being cleared.
     */
    async remove(principal: Principal, id: string): Promise<DeletionReceiptRow> {
      const request = {
        receiptId: newId(),
        by: `user:${principal.userId ?? principal.keyId}`,
        now: clock.now(),
      };
      const receipt = isUuid(id) ? await store.remove(principal, id, request) : null;
      if (!receipt) throw notFound('document');
      settlements.settled(id);
      await enqueueDeletion(receipt);
      const complete = await settlements.waitFor(receipt.id, deletionWaitMs, async () => {
        const now = await store.receipt(principal, id);
        return now?.completed_at ? now : null;
      });
      return complete ?? receipt;
    },

    async receipt(principal: Principal, id: string): Promise<DeletionReceiptRow> {
      const receipt = isUuid(id) ? await store.receipt(principal, id) : undefined;
      if (!receipt) throw notFound('deletion');
      return receipt;
    },
  };
}
