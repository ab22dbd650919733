import type { Database, DatabaseScope } from '../platform/database/database.ts';
import type { KnowledgeTables } from './knowledge-tables.ts';

export type LooseBlobsStore = ReturnType<typeof createLooseBlobsStore>;

/**
 * SQL of files that no document holds: on their way in, or on their way out.
 * @param keysOf a LIKE pattern for keys of files at named places, and one for those at this place; absent: all files
 *   are to be had here.
 */
export function createLooseBlobsStore(
  database: Database,
  keysOf?: { readonly named: string; readonly own: string },
) {
  const platform = database.platform.withTables<KnowledgeTables>();

  return {
    /** Notes a file before it is written, so that it is removed at `removableAt` if nothing comes of it. */
    declare: (scope: DatabaseScope, blobKey: string, removableAt: Date): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        await tx
          .withTables<KnowledgeTables>()
          .insertInto('loose_blobs')
          .values({
            blob_key: blobKey,
            tenant_id: scope.tenantId,
            document_id: null,
            removable_at: removableAt,
          })
          .execute();
      }),

    /** After the file was removed. */
    forget: (scope: DatabaseScope, blobKey: string): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        await tx
          .withTables<KnowledgeTables>()
          .deleteFrom('loose_blobs')
          .where('blob_key', '=', blobKey)
          .execute();
      }),

    /** The same, as the platform. */
    async forgetAsPlatform(blobKey: string): Promise<void> {
      await platform.deleteFrom('loose_blobs').where('blob_key', '=', blobKey).execute();
    },

    async ofDocument(documentId: string): Promise<string[]> {
      const rows = await platform
        .selectFrom('loose_blobs')
        .select('blob_key')
        .where('document_id', '=', documentId)
        .execute();
      return rows.map((row) => row.blob_key);
    },

    /** Those that may be removed here, in the order of their keys, after the given one. */
    async removable(now: Date, after: string, limit: number): Promise<string[]> {
      let query = platform
        .selectFrom('loose_blobs')
        .select('blob_key')
        .where('removable_at', '<=', now)
        .where('blob_key', '>', after);
      if (keysOf) {
        const { named, own } = keysOf;
        query = query.where((eb) => eb.or([eb('blob_key', 'not like', named), eb('blob_key', 'like', own)]));
      }
      const rows = await query.orderBy('blob_key').limit(limit).execute();
      return rows.map((row) => row.blob_key);
    },
  };
}
