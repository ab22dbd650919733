import type { IndexFeed } from '../../src/knowledge/index.ts';

/** Stands where the search index will: filled from the feed in the same way, one tenant at a time. */
export interface FedIndex {
  /** Chunk ids by document. */
  readonly documents: Map<string, Set<string>>;
  indexNow(tenantId: string): Promise<void>;
  indexHolds(tenantId: string, documentId: string): Promise<number>;
  /** While set, indexing fails with it. */
  failure: Error | null;
  /** Indexing waits until the returned function is called. */
  hold(): () => void;
}

export function createFedIndex(feed: () => IndexFeed): FedIndex {
  const documents = new Map<string, Set<string>>();
  let last: Promise<void> = Promise.resolve();
  let held: Promise<void> = Promise.resolve();
  const drain = async (tenantId: string) => {
    await held;
    if (index.failure) throw index.failure;
    const changes = await feed().takeIndexChanges(tenantId, 1_000);
    for (const { documentId } of changes) {
      const document = await feed().chunksForIndex(tenantId, documentId);
      if (document) documents.set(documentId, new Set(document.chunks.map((chunk) => chunk.id)));
      else documents.delete(documentId);
    }
    await feed().finishIndexChanges(changes.map((change) => change.id));
  };
  const index: FedIndex = {
    documents,
    failure: null,
    hold() {
      let release = () => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    indexNow(tenantId) {
      last = last.catch(() => {}).then(() => drain(tenantId));
      return last;
    },
    indexHolds: async (_tenantId, documentId) => documents.get(documentId)?.size ?? 0,
  };
  return index;
}
