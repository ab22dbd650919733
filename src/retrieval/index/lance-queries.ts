import type { Table } from '@lancedb/lancedb';
import { PLACEHOLDER_ID } from './lance-tables.ts';
import { queryTerms } from './query-terms.ts';
import type { IndexCandidate, IndexQueryOptions, IndexStatistics } from './search-index.ts';

/** Partitions of the vector index that a query looks into: recall 0.99 of the exact ten, see bench/search.ts. */
const PROBES = 32;

/** What LanceDB returns for a query on passages. */
interface FoundRow {
  readonly chunk_id: string;
  readonly document_id: string;
  readonly _score?: number;
  readonly _distance?: number;
}

export async function findByWords(
  table: Table,
  query: string,
  options: IndexQueryOptions,
  timeoutMs: number,
): Promise<IndexCandidate[]> {
  const terms = queryTerms(query);
  if (terms.length === 0) return [];
  const { MatchQuery } = await import('@lancedb/lancedb');
  let search = table
    .query()
    .fullTextSearch(new MatchQuery(terms.join(' '), 'searchable'))
    .select(['chunk_id', 'document_id', '_score'])
    .limit(options.limit);
  if (options.documentIds) search = search.where(isOneOf('document_id', options.documentIds));
  return toCandidates(await search.toArray({ timeoutMs }), (row) => row._score ?? 0);
}

export async function findByVector(
  table: Table,
  vector: Float32Array,
  options: IndexQueryOptions,
  timeoutMs: number,
): Promise<IndexCandidate[]> {
  let search = table
    .query()
    .nearestTo(vector)
    .distanceType('cosine')
    .nprobes(PROBES)
    .select(['chunk_id', 'document_id', '_distance'])
    .limit(options.limit);
  if (options.documentIds) search = search.where(isOneOf('document_id', options.documentIds));
  return toCandidates(await search.toArray({ timeoutMs }), (row) => 1 - (row._distance ?? 2));
}

function toCandidates(rows: readonly FoundRow[], score: (row: FoundRow) => number): IndexCandidate[] {
  return rows
    .map((row) => ({ chunkId: row.chunk_id, documentId: row.document_id, score: score(row) }))
    .filter(({ chunkId }) => chunkId !== PLACEHOLDER_ID)
    .sort((a, b) => b.score - a.score || (a.chunkId < b.chunkId ? -1 : 1));
}

export function countRows(table: Table, documentId: string | undefined): Promise<number> {
  return table.countRows(
    documentId === undefined ? `document_id <> '${PLACEHOLDER_ID}'` : isOneOf('document_id', [documentId]),
  );
}

/** Documents with their number of rows, read in batches. */
export async function countByDocument(table: Table): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for await (const batch of table.query().select(['document_id'])) {
    for (const documentId of batch.getChild('document_id') ?? []) {
      if (documentId !== PLACEHOLDER_ID) counts.set(documentId, (counts.get(documentId) ?? 0) + 1);
    }
  }
  return counts;
}

export async function statisticsOf(table: Table): Promise<IndexStatistics> {
  const [stats, words, versions, rows] = await Promise.all([
    table.stats(),
    table.indexStats('searchable_idx'),
    table.listVersions(),
    countRows(table, undefined),
  ]);
  return {
    state: 'ready',
    rows,
    unindexedRows: words?.numUnindexedRows ?? rows,
    fragments: stats.fragmentStats.numFragments,
    bytes: stats.totalBytes,
    versions: versions.length,
  };
}

/**
 * `column IN (…)` for ids. Ids come from our own database, but a predicate is text: one that could end the literal
 * never gets in.
 */
export function isOneOf(column: 'document_id' | 'chunk_id', ids: readonly string[]): string {
  for (const id of ids)
    if (!isSafeId(id)) throw new RangeError(`an id of the index cannot be ${JSON.stringify(id)}`);
  return ids.length === 0 ? 'false' : `${column} IN (${ids.map((id) => `'${id}'`).join(', ')})`;
}

/** Letters, digits and `_ . : -`, 1 to 200 of them. */
export const isSafeId = (id: string) => /^[\w.:-]{1,200}$/.test(id);
