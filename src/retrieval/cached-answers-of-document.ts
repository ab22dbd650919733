import type { AnswerStore } from '../cache/index.ts';
import { documentTag } from './known-answers.ts';

/**
 * The cache as a place that holds something of documents. What was made from a deleted document is not found by callers
 * in any case, because the knowledge version has moved on; this takes it out of memory and of Redis.
 */
export function cachedAnswersOfDocument(store: Pick<AnswerStore, 'removeTagged'>) {
  const remove = async (tenantId: string, documentId: string): Promise<number> => {
    const { entries, everywhere } = await store.removeTagged(tenantId, [documentTag(documentId)]);
    // The deletion stays open, and is tried again, until every instance's copy is gone.
    if (!everywhere) throw new Error('Redis cannot be asked to remove cached answers just now');
    return entries;
  };
  return {
    name: 'cached_answers',
    forget: remove,
    /** Looks by removing once more: what it still finds, it finds gone the next time. */
    count: remove,
  };
}
