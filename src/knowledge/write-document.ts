import type { Kysely } from 'kysely';
import { AppError } from '../platform/errors.ts';
import type { DocumentRow, KnowledgeTables } from './knowledge-tables.ts';
import { decideRevision, type Revision } from './revision.ts';

/** A transaction, or the platform. */
export type Db = Kysely<KnowledgeTables>;

export interface WriteResult {
  readonly row: DocumentRow;
  readonly outcome: 'created' | 'replaced' | 'updated' | 'unchanged';
  /** A file that no document holds any more, or that none took. */
  readonly releasedBlob: string | null;
}

/** Applies a revision to a row that this transaction holds locked. */
export async function revise(
  db: Db,
  current: DocumentRow,
  wanted: Revision,
  now: Date,
): Promise<WriteResult> {
  const { change, set, reindex } = decideRevision(current, wanted);
  if (change === 'content' && wanted.content) {
    await takeBlob(db, wanted.content.blobKey);
    await looseBlob(db, current.blob_key, current.tenant_id, current.id, now);
  } else if (wanted.content) {
    await db
      .updateTable('loose_blobs')
      .set({ removable_at: now })
      .where('blob_key', '=', wanted.content.blobKey)
      .execute();
  }
  if (change === 'none')
    return { row: current, outcome: 'unchanged', releasedBlob: wanted.content?.blobKey ?? null };
  const row = await db
    .updateTable('documents')
    .set({ ...set, updated_at: now })
    .where('id', '=', current.id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(refuseHidingFromOneself);
  if (reindex) await tellIndex(db, row.tenant_id, row.id, 'upsert', now);
  return change === 'content'
    ? { row, outcome: 'replaced', releasedBlob: current.blob_key }
    : { row, outcome: 'updated', releasedBlob: wanted.content?.blobKey ?? null };
}

export async function takeBlob(db: Db, blobKey: string): Promise<void> {
  const taken = await db.deleteFrom('loose_blobs').where('blob_key', '=', blobKey).executeTakeFirst();
  if (taken.numDeletedRows === 1n) return;
  throw new AppError('conflict', 'The upload took so long that its file was cleared away. Send it again.');
}

export async function looseBlob(db: Db, blobKey: string, tenantId: string, documentId: string, now: Date) {
  await db
    .insertInto('loose_blobs')
    .values({ blob_key: blobKey, tenant_id: tenantId, document_id: documentId, removable_at: now })
    .execute();
}

export async function tellIndex(
  db: Db,
  tenantId: string,
  documentId: string,
  change: 'upsert' | 'delete',
  now: Date,
) {
  await db
    .insertInto('index_changes')
    .values({ tenant_id: tenantId, document_id: documentId, change, created_at: now })
    .execute();
}

const rowSecurityViolation = '42501';

function refuseHidingFromOneself(error: unknown): never {
  if ((error as { code?: string }).code === rowSecurityViolation) {
    throw new AppError(
      'invalid',
      'With these readers you could no longer see the document yourself. Add a role, a group or a user of yours, or ask an administrator.',
      { errors: [{ path: 'acl', message: 'leaves you out' }], cause: error },
    );
  }
  throw error;
}
