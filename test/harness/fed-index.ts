import type { IndexFeed } from '../../src/knowledge/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createLanceDbIndex } from '../../src/retrieval/index.ts';

/** A real index that knowledge feeds, one tenant at a time; what keeps it up in the product comes with retrieval. */
export interface FedIndex {
  /** Chunk ids by document, as they were last written. */
  readonly documents: Map<string, Set<string>>;
  indexNow(tenantId: string): Promise<void>;
  indexHolds(tenantId: string, documentId: string): Promise<number>;
  /** While set, indexing fails with it. */
  failure: Error | null;
  /** Indexing waits until the returned function is called. */
  hold(): () => void;
  stop(): Promise<void>;
}

const generation = { number: 1, dimensions: null };

/** @param directory where the index is kept; one that is there is used again. */
export function createFedIndex(feed: () => IndexFeed, directory: string): FedIndex {
  const engine = createLanceDbIndex({ uri: directory, clock: systemClock, onOptimiseFailure: () => {} });
  const documents = new Map<string, Set<string>>();
  let last: Promise<void> = Promise.resolve();
  let held: Promise<void> = Promise.resolve();

  const drain = async (tenantId: string) => {
    await held;
    if (index.failure) throw index.failure;
    const changes = await feed().takeIndexChanges(tenantId, 1_000);
    for (const documentId of new Set(changes.map((change) => change.documentId))) {
      const document = await feed().chunksForIndex(tenantId, documentId);
      const rows = (document?.chunks ?? []).map(({ id, heading, text }) => ({
        chunkId: id,
        documentId,
        title: document?.title ?? '',
        heading,
        text,
      }));
      await engine.apply(tenantId, generation, {
        upsertDocuments: rows.length > 0 ? [{ documentId, rows }] : [],
        deleteDocuments: rows.length > 0 ? [] : [documentId],
      });
      if (rows.length > 0) documents.set(documentId, new Set(rows.map((row) => row.chunkId)));
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
    indexHolds: (tenantId, documentId) => engine.count(tenantId, generation, documentId),
    async stop() {
      await last.catch(() => {});
      await engine.stop();
    },
  };
  return index;
}
