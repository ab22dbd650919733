import type { Table } from '@lancedb/lancedb';
import type { Clock } from '../../platform/clock.ts';
import { isOneOf } from './lance-queries.ts';
import { type LanceTable, toStoredRow } from './lance-tables.ts';
import type { IndexChanges, IndexGeneration } from './search-index.ts';

/** A row that waits to be indexed costs 55 µs at each query: this many are not worth a rewrite of the index. */
const FEW_WAITING_ROWS = 100;
/** Every write leaves a small file; this many are worth merging. */
const MANY_WRITES = 32;
/** So many waiting rows make each query 0.3 s slower, and are indexed whatever that costs. */
const TOO_MANY_WAITING_ROWS = 5_000;
/** What waits longer than this is indexed however little it is. */
export const LONGEST_WAIT_MS = 30_000;
/**
 * Optimising rewrites the whole full-text index (17 µs for each row there is), so after each time it rests for this
 * many times as long as it took: writers of a large index keep two thirds of the time.
 */
const REST = 2;
/** Queries under way may read a version for this long after it was replaced. */
const KEEP_VERSIONS_MS = 60_000;
/** Below this many rows comparing all vectors is exact and takes 40 ms at most (at 384 dimensions). */
const FLAT_VECTOR_ROWS = 50_000;
/** Each optimisation adds a part to the vector index; with more of them than this it is built anew. */
const MAX_VECTOR_INDEX_PARTS = 8;

/**
 * Replaces and deletes in one commit, so that a reader sees each document wholly old or wholly new and a crash
 * leaves either. Doing it again changes nothing.
 */
export async function mergeChanges(
  { table, waiting }: LanceTable,
  generation: IndexGeneration,
  changes: IndexChanges,
  nowMs: number,
): Promise<void> {
  const documentIds = changes.upsertDocuments
    .map(({ documentId }) => documentId)
    .concat(changes.deleteDocuments);
  if (documentIds.length === 0) return;
  const rows = changes.upsertDocuments.flatMap((document) => document.rows);
  const theirs = isOneOf('document_id', documentIds);
  if (rows.length === 0) {
    await table.delete(theirs);
  } else {
    await table
      .mergeInsert('chunk_id')
      .whenMatchedUpdateAll()
      .whenNotMatchedInsertAll()
      .whenNotMatchedBySourceDelete({ where: theirs })
      .execute(rows.map((row) => toStoredRow(row, generation)));
  }
  if (waiting.writes === 0) waiting.sinceMs = nowMs;
  waiting.writes += 1;
  waiting.rows += rows.length;
}

/** Whether there is anything to optimise or to clean up, now or later. */
export function hasSomethingLeft({ waiting, cleanUpAfterMs }: LanceTable): boolean {
  return waiting.writes > 0 || cleanUpAfterMs !== undefined;
}

/** Whether optimising now is worth what it costs. */
export function isOptimisingDue(
  { waiting, restUntilMs, cleanUpAfterMs }: LanceTable,
  nowMs: number,
): boolean {
  if (waiting.writes === 0) return cleanUpAfterMs !== undefined && nowMs >= cleanUpAfterMs;
  if (nowMs < restUntilMs) return waiting.rows >= TOO_MANY_WAITING_ROWS;
  const much = waiting.rows >= FEW_WAITING_ROWS || waiting.writes >= MANY_WRITES;
  return much || nowMs - waiting.sinceMs >= LONGEST_WAIT_MS;
}

/** Indexes what waits, merges small files and removes old versions. */
export async function optimiseTable(
  open: LanceTable,
  generation: IndexGeneration,
  clock: Clock,
): Promise<void> {
  const changed = open.waiting.writes > 0;
  const startedMs = clock.monotonicMs();
  await open.table.optimize({ cleanupOlderThan: new Date(clock.now().getTime() - KEEP_VERSIONS_MS) });
  if (generation.dimensions !== null) await indexVectors(open.table);
  const endedMs = clock.monotonicMs();
  open.waiting.writes = 0;
  open.waiting.rows = 0;
  open.restUntilMs = endedMs + REST * (endedMs - startedMs);
  // What this replaced is too young to be removed now.
  open.cleanUpAfterMs = changed ? endedMs + KEEP_VERSIONS_MS : undefined;
}

/**
 * Gives a large table a vector index, and builds it anew when it has come apart. IVF_FLAT: of the kinds LanceDB has
 * it is by far the quickest to build (5 s for 100,000 × 384 where HNSW took 105 s), and it keeps vectors exact.
 */
async function indexVectors(table: Table): Promise<void> {
  const index = (await table.listIndices()).find(({ columns }) => columns.includes('vector'));
  const parts = index ? ((await table.indexStats(index.name))?.numIndices ?? 1) : 0;
  if (
    index ? parts <= MAX_VECTOR_INDEX_PARTS : (await table.countRows('vector IS NOT NULL')) < FLAT_VECTOR_ROWS
  )
    return;
  const { Index } = await import('@lancedb/lancedb');
  await table.createIndex('vector', { config: Index.ivfFlat({ distanceType: 'cosine' }), replace: true });
}
