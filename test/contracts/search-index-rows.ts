import type { IndexChanges, IndexGeneration, IndexRow } from '../../src/retrieval/index/search-index.ts';

export const WORDS_ONLY: IndexGeneration = { number: 1, dimensions: null };
export function indexRow(chunkId: string, text: string, more: Partial<IndexRow> = {}): IndexRow {
  const documentId = more.documentId ?? chunkId.split('.')[0] ?? chunkId;
  return { chunkId, documentId, title: '', heading: '', text, ...more };
}

/** Changes that put each row into the document its id names before the dot. */
export function upsert(...rows: readonly IndexRow[]): IndexChanges {
  const byDocument = Map.groupBy(rows, ({ documentId }) => documentId);
  return {
    upsertDocuments: [...byDocument].map(([documentId, its]) => ({ documentId, rows: its })),
    deleteDocuments: [],
  };
}
