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
    .catch(refuseHidingFromOneself(wanted));
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

/**
 * For `catch` where a document is written: one that its writer would not see afterwards is refused by the database.
 * @param wanted what was asked to be so; what is absent was not in the way.
 */
export function refuseHidingFromOneself({ readers, metadata }: Pick<Revision, 'readers' | 'metadata'>) {
  return (error: unknown): never => {
    if ((error as { code?: string }).code !== rowSecurityViolation) throw error;
    const errors = [
      ...(readers === undefined ? [] : [{ path: 'acl', message: 'may leave you out' }]),
      // Also when it was not sent at all: then what the condition asks for is missing.
      ...(readers !== undefined && metadata === undefined
        ? []
        : [{ path: 'metadata', message: 'may not meet the condition of your role' }]),
    ];
    throw new AppError(
      'invalid',
      'Like this you could not see the document yourself. Let its readers name a role, a group or a user of yours and its metadata meet the condition of your role, or ask an administrator.',
      { errors, cause: error },
    );
  };
}
