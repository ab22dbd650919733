/**
 * The search index of a tenant: it proposes passages, and the database disposes. Everything in it is derived and
 * can be built again, so a missing index reads as an empty one and says so in its statistics.
 */

/** One build of a tenant's index. A new embedding model or row shape is a new generation beside the old one. */
export interface IndexGeneration {
  /** From 1 up; a number is never used again for another shape. */
  readonly number: number;
  /** Length of its vectors, or null when it has none. */
  readonly dimensions: number | null;
}

/** One passage as the index keeps it. */
export interface IndexRow {
  readonly chunkId: string;
  readonly documentId: string;
  readonly title: string;
  readonly heading: string;
  readonly text: string;
  /** As long as the generation's `dimensions`. Without one the passage is found by its words only. */
  readonly vector?: Float32Array;
}

export interface IndexChanges {
  /** Documents whose rows become exactly these; no rows is the same as deleting. */
  readonly upsertDocuments: readonly { readonly documentId: string; readonly rows: readonly IndexRow[] }[];
  readonly deleteDocuments: readonly string[];
}

export interface IndexCandidate {
  readonly chunkId: string;
  readonly documentId: string;
  /** Higher is better. BM25 for words, cosine similarity (−1 to 1) for vectors: not comparable with each other. */
  readonly score: number;
}

export interface IndexQueryOptions {
  /** Most candidates to return, 1 to 1,000. */
  readonly limit: number;
  /** Only these documents, at most 1,000; all when absent. */
  readonly documentIds?: readonly string[];
}

export interface IndexStatistics {
  /** `unreadable` means damaged: drop it and build it again. */
  readonly state: 'absent' | 'ready' | 'unreadable';
  readonly rows: number;
  /** Rows written since the last optimisation: searched, but one by one. */
  readonly unindexedRows: number;
  readonly fragments: number;
  readonly bytes: number;
  readonly versions: number;
}

export interface SearchIndex {
  /**
   * Makes the index agree with the changes, all at once or not at all. Doing it again leaves one copy. Creates the
   * generation when absent. Changes of one tenant are applied one after the other in the order of the calls.
   * At most 50,000 rows and 10,000 documents. Throws AppError `invalid` for rows that do not fit the generation,
   * `overloaded` when too many changes of the tenant wait, `dependency_down` when the store fails.
   */
  apply(tenantId: string, generation: IndexGeneration, changes: IndexChanges): Promise<void>;

  /**
   * The passages that share most words with `query`, best first: any text is a query, nothing in it is an
   * operator. Only its first 64 distinct words count. Sees every change applied by this process before the call.
   */
  lexical(
    tenantId: string,
    generation: IndexGeneration,
    query: string,
    options: IndexQueryOptions,
  ): Promise<IndexCandidate[]>;

  /** The passages whose vectors point most nearly where `vector` does, best first. */
  vector(
    tenantId: string,
    generation: IndexGeneration,
    vector: Float32Array,
    options: IndexQueryOptions,
  ): Promise<IndexCandidate[]>;

  /** How many rows there are, in all or of one document: the probe after a deletion. */
  count(tenantId: string, generation: IndexGeneration, documentId?: string): Promise<number>;

  /** Every document in the index with its number of rows, to compare with the database. */
  documents(tenantId: string, generation: IndexGeneration): Promise<Map<string, number>>;

  /**
   * Indexes the rows written since the last time, merges small files and removes old versions, if that is worth its
   * cost by now, or in any case with `force`. Need not be called: changes see to it themselves, at the latest half a
   * minute after they were made.
   */
  optimise(
    tenantId: string,
    generation: IndexGeneration,
    options?: { readonly force?: boolean },
  ): Promise<void>;

  statistics(tenantId: string, generation: IndexGeneration): Promise<IndexStatistics>;

  /** Removes one generation, or all of a tenant's. Nothing happens when there is none. */
  drop(tenantId: string, generationNumber?: number): Promise<void>;

  /** Waits for changes under way and closes everything. Calls afterwards throw AppError `shutting_down`. */
  stop(): Promise<void>;
}
