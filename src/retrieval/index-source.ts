/** A document whose place in the index may be out of date. */
export interface IndexChange {
  readonly id: bigint;
  readonly documentId: string;
  readonly change: 'upsert' | 'delete';
}

/** What the index should hold of a document now. */
export interface DocumentForIndex {
  readonly title: string;
  readonly chunks: readonly { readonly id: string; readonly heading: string; readonly text: string }[];
}

/** How the documents of all tenants are read, as the platform, to be indexed. `compose/knowledge.ts` supplies it. */
export interface IndexSource {
  /** The oldest changes, up to `limit`; they stay until they are finished. */
  takeIndexChanges(tenantId: string, limit: number): Promise<readonly IndexChange[]>;
  finishIndexChanges(ids: readonly bigint[]): Promise<void>;
  /** Null: it is not, or no longer, to be found. */
  chunksForIndex(tenantId: string, documentId: string): Promise<DocumentForIndex | null>;
  /** The documents that are to be found, ordered by id, after the given one; with their numbers of chunks. */
  indexableDocuments(
    tenantId: string,
    after: string | null,
    limit: number,
  ): Promise<readonly { readonly documentId: string; readonly chunkCount: number }[]>;
  tenantsWithIndexChanges(): Promise<readonly string[]>;
}
