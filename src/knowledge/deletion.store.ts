import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import type { DeletionReceiptRow, KnowledgeTables, PlaceResult } from './knowledge-tables.ts';

export type DeletionStore = ReturnType<typeof createDeletionStore>;

/** SQL of finishing deletions, as the platform. */
export function createDeletionStore(database: Database) {
  const platform = database.platform.withTables<KnowledgeTables>();

  const count = async (table: 'chunks' | 'document_texts', documentId: string): Promise<number> => {
    const row = await platform
      .selectFrom(table)
      .select((eb) => eb.fn.countAll<bigint>().as('count'))
      .where('document_id', '=', documentId)
      .executeTakeFirstOrThrow();
    return Number(row.count);
  };

  return {
    receipt: (id: string): Promise<DeletionReceiptRow | undefined> =>
      platform.selectFrom('deletion_receipts').selectAll().where('id', '=', id).executeTakeFirst(),

    /** Open receipts in the order of their ids, after the given one. */
    openReceipts: (after: string | null, limit: number): Promise<DeletionReceiptRow[]> => {
      let query = platform.selectFrom('deletion_receipts').selectAll().where('completed_at', 'is', null);
      if (after !== null) query = query.where('id', '>', after);
      return query.orderBy('id').limit(limit).execute();
    },

    async recordPlaces(id: string, places: readonly PlaceResult[], completedAt: Date | null): Promise<void> {
      await platform
        .updateTable('deletion_receipts')
        .set((eb) => ({
          places: sql<PlaceResult[]>`${JSON.stringify(places)}::jsonb`,
          completed_at: completedAt,
          attempts: eb('attempts', '+', 1),
        }))
        .where('id', '=', id)
        .where('completed_at', 'is', null)
        .execute();
    },

    /** What the database itself still holds of a document: rows, parts of text, chunks. */
    async countRows(documentId: string): Promise<{ document: number; text: number; chunks: number }> {
      const row = await platform
        .selectFrom('documents')
        .select('id')
        .where('id', '=', documentId)
        .executeTakeFirst();
      return {
        document: row ? 1 : 0,
        text: await count('document_texts', documentId),
        chunks: await count('chunks', documentId),
      };
    },
  };
}
