import type { EmbedTexts } from './embed-texts.ts';
import type { IndexRow, SearchIndex } from './index/search-index.ts';
import type { IndexGenerationsStore, KnownGeneration } from './index-generations.store.ts';
import type { DocumentForIndex, IndexSource } from './index-source.ts';
import type { EmbeddingUse } from './model-calls.ts';

/** Rows written at once; a single document may have more. */
const rowsPerWrite = 2_000;
/** Documents read from the database between two writes. */
const documentsPerWrite = 200;
/** Passages of one document that get vectors, some four million characters; the rest is found by its words. */
const maxEmbeddedChunks = 4_000;
/** Passages embedded between two writes, when vectors are made up for. */
const textsPerBatch = 512;
/** Documents listed at a time when index and database are compared. */
const listedAtOnce = 100;

export interface IndexWriterDependencies {
  readonly index: SearchIndex;
  readonly source: IndexSource;
  readonly store: Pick<
    IndexGenerationsStore,
    'markVectorsMissing' | 'clearVectorsMissing' | 'countFailedAttempt'
  >;
  readonly embedTexts: EmbedTexts;
}

/** Runs one part of a longer piece of work; others that wait for the tenant's index may run between two parts. */
export type Step = <T>(work: () => Promise<T>) => Promise<T>;

export type IndexWriter = ReturnType<typeof createIndexWriter>;

/** Thrown when what a model returns no longer fits the generation: another model answers under its name. */
export class DimensionsChanged extends Error {}

/**
 * Brings documents of one tenant's index in line with the database. Each call reads what the database holds now, so
 * doing it again, or after a crash in the middle, does no harm. Calls for one tenant must come one after the other.
 */
export function createIndexWriter({ index, source, store, embedTexts }: IndexWriterDependencies) {
  /**
   * Writes the documents to the generation by their words; with the model of its vectors, by their meaning too. What gets no vectors
   * although the generation has them is noted, to be made up for.
   * @returns what the embedding model failed with, if it did.
   */
  async function write(
    tenantId: string,
    generation: KnownGeneration,
    documentIds: readonly string[],
    use: EmbeddingUse | null,
  ): Promise<{ embeddingFailure: unknown }> {
    let embedding = use?.identity === generation.embeddingModel ? use : null;
    let embeddingFailure: unknown = null;
    let batch = emptyBatch();
    for (const documentId of new Set(documentIds)) {
      const document = await source.chunksForIndex(tenantId, documentId);
      let vectors: readonly Float32Array[] = [];
      if (document && embedding) {
        try {
          vectors = await vectorsOf(generation, document, embedding);
        } catch (error) {
          // Words cannot wait for the embedding model: from here on they go alone.
          embedding = null;
          embeddingFailure = error;
        }
      }
      add(batch, documentId, document, vectors, generation.dimensions !== null);
      if (batch.rows < rowsPerWrite && batch.documents < documentsPerWrite) continue;
      await flush(tenantId, generation, batch);
      batch = emptyBatch();
    }
    await flush(tenantId, generation, batch);
    return { embeddingFailure };
  }

  /**
   * Makes up for missing vectors of the first of the given documents, as many as make a sensible batch.
   * @throws what the embedding model threw; nothing is written then.
   */
  async function writeVectors(
    tenantId: string,
    generation: KnownGeneration,
    documentIds: readonly string[],
    use: EmbeddingUse,
  ): Promise<void> {
    const documents: { documentId: string; document: DocumentForIndex | null; texts: string[] }[] = [];
    let waiting = 0;
    for (const documentId of documentIds) {
      if (waiting >= textsPerBatch) break;
      const document = await source.chunksForIndex(tenantId, documentId);
      const texts = document ? embeddedTexts(document) : [];
      documents.push({ documentId, document, texts });
      waiting += texts.length;
    }
    const vectors = await embedTexts(
      use,
      documents.flatMap(({ texts }) => texts),
    );
    if (vectors.some(({ length }) => length !== generation.dimensions)) throw new DimensionsChanged();
    const batch = emptyBatch();
    for (const { documentId, document, texts } of documents) {
      add(batch, documentId, document, vectors.splice(0, texts.length), true);
    }
    await flush(tenantId, generation, batch);
  }

  async function flush(tenantId: string, generation: KnownGeneration, batch: Batch): Promise<void> {
    if (batch.documents === 0) return;
    await index.apply(tenantId, generation, {
      upsertDocuments: batch.upserts,
      deleteDocuments: batch.deletes,
    });
    await store.markVectorsMissing(tenantId, generation.number, batch.withoutVectors);
    await store.clearVectorsMissing(tenantId, generation.number, batch.settled);
  }

  async function vectorsOf(
    generation: KnownGeneration,
    document: DocumentForIndex,
    use: EmbeddingUse,
  ): Promise<Float32Array[]> {
    const vectors = await embedTexts(use, embeddedTexts(document));
    if (vectors.some(({ length }) => length !== generation.dimensions)) throw new DimensionsChanged();
    return vectors;
  }

  /**
   * Compares the generation with the database and writes what differs, by its words.
   * @returns how many documents were written.
   */
  async function reconcile(tenantId: string, generation: KnownGeneration, step: Step): Promise<number> {
    // The copy that stands there now; what changes from here on comes as a change of its own.
    const indexed = await step(() => index.documents(tenantId, generation));
    let written = 0;
    let after: string | null = null;
    for (;;) {
      const from: string | null = after;
      const [last, count] = await step(async () => {
        const page = await source.indexableDocuments(tenantId, from, listedAtOnce);
        const differing = page.filter(
          ({ documentId, chunkCount }) => (indexed.get(documentId) ?? 0) !== chunkCount,
        );
        for (const { documentId } of page) indexed.delete(documentId);
        await write(
          tenantId,
          generation,
          differing.map(({ documentId }) => documentId),
          null,
        );
        return [
          page.length < listedAtOnce ? null : (page.at(-1)?.documentId ?? null),
          differing.length,
        ] as const;
      });
      written += count;
      after = last;
      if (after === null) break;
    }
    // What the database does not list is gone, unless it came meanwhile: writing looks again.
    const strangers = [...indexed.keys()];
    for (let at = 0; at < strangers.length; at += listedAtOnce) {
      await step(() => write(tenantId, generation, strangers.slice(at, at + listedAtOnce), null));
    }
    return written + strangers.length;
  }

  return { write, writeVectors, reconcile };
}

interface Batch {
  rows: number;
  documents: number;
  readonly upserts: { documentId: string; rows: IndexRow[] }[];
  readonly deletes: string[];
  readonly withoutVectors: string[];
  /** Documents whose vectors are there, or no longer wanted. */
  readonly settled: string[];
}

function emptyBatch(): Batch {
  return { rows: 0, documents: 0, upserts: [], deletes: [], withoutVectors: [], settled: [] };
}

function add(
  batch: Batch,
  documentId: string,
  document: DocumentForIndex | null,
  vectors: readonly Float32Array[],
  wantsVectors: boolean,
): void {
  batch.documents += 1;
  if (!document || document.chunks.length === 0) {
    batch.deletes.push(documentId);
    batch.settled.push(documentId);
    return;
  }
  const { title } = document;
  const rows = document.chunks.map(({ id, heading, text }, place) => {
    const vector = vectors[place];
    return { chunkId: id, documentId, title, heading, text, ...(vector && { vector }) };
  });
  batch.rows += rows.length;
  batch.upserts.push({ documentId, rows });
  if (!wantsVectors) return;
  (vectors.length > 0 ? batch.settled : batch.withoutVectors).push(documentId);
}

/** What is embedded: a passage says more about itself together with the names of where it stands. */
export function embeddedTexts({ title, chunks }: DocumentForIndex): string[] {
  return chunks
    .slice(0, maxEmbeddedChunks)
    .map(({ heading, text }) => [title, heading, text].filter((part) => part !== '').join('\n'));
}
