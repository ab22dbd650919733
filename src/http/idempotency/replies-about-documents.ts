import type { Clock } from '../../platform/clock.ts';
import type { IdempotencyStore } from './idempotency.store.ts';

/**
 * Kept replies as a place that holds something of documents. After a deletion none of them is given again, because their
 * callers may read something else now; this takes them out of the table, whichever document they tell of.
 */
export function repliesAboutDocuments(
  store: Pick<IdempotencyStore, 'repliesAboutDocuments'>,
  clock: Pick<Clock, 'now'>,
) {
  // What is answered after the deletion does not tell of the document, and would keep its receipt open for ever.
  const forgotAt = new Map<string, Date>();
  return {
    name: 'kept_replies',
    forget(tenantId: string, documentId: string): Promise<number> {
      const at = clock.now();
      forgotAt.set(documentId, at);
      return store.repliesAboutDocuments(tenantId, at, true);
    },
    async count(tenantId: string, documentId: string): Promise<number> {
      const at = forgotAt.get(documentId) ?? clock.now();
      forgotAt.delete(documentId);
      return store.repliesAboutDocuments(tenantId, at, false);
    },
  };
}
