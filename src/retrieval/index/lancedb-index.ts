import type { Table } from '@lancedb/lancedb';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import { createKeyedQueue } from './keyed-queue.ts';
import {
  countByDocument,
  countRows,
  findByVector,
  findByWords,
  isSafeId,
  statisticsOf,
} from './lance-queries.ts';
import { createLanceTables, type LanceTable } from './lance-tables.ts';
import {
  hasSomethingLeft,
  isOptimisingDue,
  LONGEST_WAIT_MS,
  mergeChanges,
  optimiseTable,
} from './lance-writes.ts';
import type {
  IndexCandidate,
  IndexChanges,
  IndexGeneration,
  IndexQueryOptions,
  IndexStatistics,
  SearchIndex,
} from './search-index.ts';

export interface LanceDbIndexDeps {
  /** A local directory, or an object store address such as `s3://bucket/index`. */
  readonly uri: string;
  /** Credentials and endpoint of the object store, under LanceDB's names. */
  readonly storageOptions?: Record<string, string>;
  readonly clock: Clock;
  /** Told when optimising in the background fails; searching goes on, more slowly. */
  readonly onOptimiseFailure: (tenantId: string, cause: unknown) => void;
  /** Memory for index pages, shared by all tenants; default 128 MiB. */
  readonly cacheBytes?: number;
  /** Generations kept open at once; default 64. */
  readonly maxOpenTables?: number;
  /** How old this process's view of other processes' writes may be; default 1. Its own are seen at once. */
  readonly refreshSeconds?: number;
  /** Default 10,000. */
  readonly queryTimeoutMs?: number;
}

const MAX_ROWS_PER_APPLY = 50_000;
const MAX_DOCUMENTS_PER_APPLY = 10_000;
const MAX_WAITING_CHANGES = 1_000;
const MAX_CANDIDATES = 1_000;
const MAX_FILTER_DOCUMENTS = 1_000;

/** The search index on LanceDB: one table for each tenant and generation, `<uri>/<tenantId>/g<number>.lance`. */
export function createLanceDbIndex(deps: LanceDbIndexDeps): SearchIndex {
  const { clock } = deps;
  const timeoutMs = deps.queryTimeoutMs ?? 10_000;
  const writers = createKeyedQueue({ maxWaiting: MAX_WAITING_CHANGES });
  const tables = createLanceTables({
    uri: deps.uri,
    cacheBytes: deps.cacheBytes ?? 128 * 1024 * 1024,
    maxOpenTables: deps.maxOpenTables ?? 64,
    refreshSeconds: deps.refreshSeconds ?? 1,
    ...(deps.storageOptions && { storageOptions: deps.storageOptions }),
  });
  const optimisations = new Map<string, Promise<boolean>>();
  /** Generations that are looked at again until nothing waits in them. */
  const watched = new Set<string>();
  const stopping = new AbortController();

  /** Reads, once more on a fresh handle when the first attempt fails: another process may have tidied up. */
  async function read<Result>(
    tenantId: string,
    generation: IndexGeneration,
    absent: Result,
    work: (table: Table) => Promise<Result>,
  ): Promise<Result> {
    requireRunning(stopping.signal);
    requireTenantId(tenantId);
    const attempt = () =>
      tables.read(tenantId, generation, async (open) => (open ? work(open.table) : absent));
    try {
      return await attempt();
    } catch {
      tables.forget(tenantId, generation);
    }
    try {
      return await attempt();
    } catch (cause) {
      tables.forget(tenantId, generation);
      throw new AppError('dependency_down', 'The search index cannot be read just now.', { cause });
    }
  }

  async function write<Result>(
    tenantId: string,
    generation: IndexGeneration,
    work: (open: LanceTable) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await tables.write(tenantId, generation, work);
    } catch (cause) {
      tables.forget(tenantId, generation);
      throw new AppError('dependency_down', 'The search index cannot be written just now.', { cause });
    }
  }

  /**
   * Queues an optimisation behind the changes that wait; joins the one that is queued already, if any. Gives whether
   * there is still something left to do later.
   */
  function queueOptimisation(
    tenantId: string,
    generation: IndexGeneration,
    force: boolean,
  ): Promise<boolean> {
    const key = `${tenantId}/${generation.number}/${force}`;
    const queued = optimisations.get(key);
    if (queued) return queued;
    const optimisation = writers.run(tenantId, async () => {
      optimisations.delete(key);
      if (stopping.signal.aborted || !(await read(tenantId, generation, false, async () => true)))
        return false;
      return write(tenantId, generation, async (open) => {
        const due = force ? hasSomethingLeft(open) : isOptimisingDue(open, clock.monotonicMs());
        if (due) await optimiseTable(open, generation, clock);
        return hasSomethingLeft(open);
      });
    });
    optimisations.set(key, optimisation);
    optimisation.catch(() => optimisations.delete(key));
    return optimisation;
  }

  /** Sees to what a change has left waiting: soon when it is much, and later to what remains. */
  function watch(tenantId: string, generation: IndexGeneration, open: LanceTable): void {
    const failed = (cause: unknown) => {
      if (!stopping.signal.aborted) deps.onOptimiseFailure(tenantId, cause);
    };
    if (isOptimisingDue(open, clock.monotonicMs())) {
      queueOptimisation(tenantId, generation, false).catch(failed);
    }
    const key = `${tenantId}/${generation.number}`;
    if (watched.has(key) || !hasSomethingLeft(open)) return;
    watched.add(key);
    const look = async () => {
      do await clock.sleep(LONGEST_WAIT_MS, stopping.signal);
      while (await queueOptimisation(tenantId, generation, false));
    };
    look()
      .catch(failed)
      .finally(() => watched.delete(key));
  }

  return {
    async apply(tenantId, generation, changes) {
      requireRunning(stopping.signal);
      requireTenantId(tenantId);
      requireFitting(generation, changes);
      await writers.run(tenantId, () =>
        write(tenantId, generation, async (open) => {
          await mergeChanges(open, generation, changes, clock.monotonicMs());
          watch(tenantId, generation, open);
        }),
      );
    },

    async lexical(tenantId, generation, query, options) {
      requireOptions(options);
      return read<IndexCandidate[]>(tenantId, generation, [], (table) =>
        findByWords(table, query, options, timeoutMs),
      );
    },

    async vector(tenantId, generation, vector, options) {
      requireOptions(options);
      if (generation.dimensions === null) return [];
      if (vector.length !== generation.dimensions) {
        throw new AppError('invalid', `A query vector of this index has ${generation.dimensions} numbers.`);
      }
      return read<IndexCandidate[]>(tenantId, generation, [], (table) =>
        findByVector(table, vector, options, timeoutMs),
      );
    },

    async count(tenantId, generation, documentId) {
      if (documentId !== undefined) requireId(documentId);
      return read(tenantId, generation, 0, (table) => countRows(table, documentId));
    },

    documents: (tenantId, generation) =>
      read(tenantId, generation, new Map<string, number>(), (table) => countByDocument(table)),

    async optimise(tenantId, generation, { force = false } = {}) {
      requireRunning(stopping.signal);
      requireTenantId(tenantId);
      await queueOptimisation(tenantId, generation, force);
    },

    async statistics(tenantId, generation) {
      const none = { rows: 0, unindexedRows: 0, fragments: 0, bytes: 0, versions: 0 };
      try {
        return await read<IndexStatistics>(tenantId, generation, { state: 'absent', ...none }, statisticsOf);
      } catch (error) {
        if (error instanceof AppError && error.code === 'dependency_down')
          return { state: 'unreadable', ...none };
        throw error;
      }
    },

    async drop(tenantId, generationNumber) {
      requireRunning(stopping.signal);
      requireTenantId(tenantId);
      await writers.run(tenantId, () => tables.drop(tenantId, generationNumber));
    },

    async stop() {
      stopping.abort();
      await writers.idle();
      tables.close();
    },
  };
}

function requireRunning(stopping: AbortSignal): void {
  if (stopping.aborted) throw new AppError('shutting_down', 'The search index is closed.');
}

function requireTenantId(tenantId: string): void {
  if (!/^[\w-]{1,128}$/.test(tenantId)) {
    throw new AppError('invalid', 'A tenant id names a folder of the index: letters, digits, _ and - only.');
  }
}

function requireId(id: string): void {
  if (!isSafeId(id)) {
    throw new AppError('invalid', 'Ids in the index are letters, digits and _ . : - only, 1 to 200 of them.');
  }
}

function requireOptions({ limit, documentIds = [] }: IndexQueryOptions): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_CANDIDATES) {
    throw new AppError('invalid', `The limit is from 1 to ${MAX_CANDIDATES} candidates.`);
  }
  if (documentIds.length > MAX_FILTER_DOCUMENTS) {
    throw new AppError('invalid', `A search can be narrowed to at most ${MAX_FILTER_DOCUMENTS} documents.`);
  }
  documentIds.forEach(requireId);
}

function requireFitting(generation: IndexGeneration, changes: IndexChanges): void {
  const documents = changes.upsertDocuments
    .map(({ documentId }) => documentId)
    .concat(changes.deleteDocuments);
  const rows = changes.upsertDocuments.flatMap((document) => document.rows);
  if (documents.length > MAX_DOCUMENTS_PER_APPLY || rows.length > MAX_ROWS_PER_APPLY) {
    const most = `${MAX_DOCUMENTS_PER_APPLY} documents and ${MAX_ROWS_PER_APPLY} passages`;
    throw new AppError('invalid', `At most ${most} can be indexed in one change.`);
  }
  documents.forEach(requireId);
  for (const { chunkId } of rows) requireId(chunkId);
  if (
    new Set(documents).size !== documents.length ||
    new Set(rows.map((row) => row.chunkId)).size !== rows.length
  ) {
    throw new AppError('invalid', 'A document or passage occurs twice in one change of the index.');
  }
  const foreign = changes.upsertDocuments.some(({ documentId, rows }) =>
    rows.some((row) => row.documentId !== documentId),
  );
  if (foreign) throw new AppError('invalid', 'A passage stands under another document than its own.');
  if (!rows.every(({ vector }) => vector === undefined || vector.length === generation.dimensions)) {
    throw new AppError(
      'invalid',
      `A vector does not have the ${generation.dimensions} numbers of this index.`,
    );
  }
}
