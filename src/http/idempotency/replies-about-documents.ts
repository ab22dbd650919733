import type { Clock } from '../../platform/clock.ts';
import type { IdempotencyStore } from './idempotency.store.ts';

/** Deletions at work at once are far fewer. */
const notedAtMost = 1_000;

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
  const note = (documentId: string, at: Date): void => {
    // Of a deletion that broke off in between nothing asks again under this time; without it, now is looked by.
    if (forgotAt.size >= notedAtMost) forgotAt.clear();
    forgotAt.set(documentId, at);
  };
  return {
    name: 'kept_replies',
    forget(tenantId: string, documentId: string): Promise<number> {
      const at = clock.now();
      note(documentId, at);
      return store.repliesAboutDocuments(tenantId, at, true);
    },
    /** Of requests that came before `forget`, those under way too: of them nothing will be kept. */
    async count(tenantId: string, documentId: string): Promise<number> {
      const at = forgotAt.get(documentId) ?? clock.now();
      forgotAt.delete(documentId);
      return store.repliesAboutDocuments(tenantId, at, false);
    },
  };
}
