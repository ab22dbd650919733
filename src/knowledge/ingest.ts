import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { JobDefinition, StepRetries } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Objects } from '../platform/objects.ts';
import { type Chunk, chunksOf } from './chunking/chunk-text.ts';
import { createFairGate } from './fair-gate.ts';
import type { IngestStore } from './ingest.store.ts';
import type { IngestMetrics } from './ingest-metrics.ts';
import type { DocumentRow } from './knowledge-tables.ts';
import type { OtherPlaces } from './other-places.ts';
import { ParseFailure } from './parsing/parse-failure.ts';
import type { Settlements } from './settlements.ts';
import { textParts } from './text-parts.ts';
import { readTitle } from './title.ts';

/** A file as it was read: text in its stored form, and what it says of itself. */
export interface ParsedFile {
  /** Ready to be stored: no NUL, no lone surrogates, lines end in '\n'. */
  readonly text: string;
  readonly title?: string | null | undefined;
  readonly contentType: string;
  readonly warnings: readonly string[];
}

/** Reads a file in a bounded worker. @throws ParseFailure for good; anything else is worth another try. */
export type ParseFile = (file: {
  path: string;
  fileName: string;
  contentType?: string;
}) => Promise<ParsedFile>;

/** Resolves when the index has everything that was enqueued for the tenant before the call. */
export type IndexNow = (tenantId: string) => Promise<void>;

export interface IngestDependencies {
  readonly store: IngestStore;
  readonly objects: Objects;
  readonly parse: ParseFile;
  readonly indexNow: IndexNow;
  readonly otherPlaces: OtherPlaces;
  readonly settlements: Settlements;
  readonly metrics: IngestMetrics;
  readonly retries: StepRetries;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
}

export type IngestInput = { documentId: string; tenantId: string; version: number };

/** One piece of work per version of a document, whoever asks for it and how often. */
export function ingestJobId(documentId: string, version: number): string {
  return `ingest:${documentId}:${version}`;
}

/**
 * Waiting for the index costs nothing and fills its batches, so many documents are on their way at once; reading and
 * storing hold a text in memory, so they share a gate by the size of their files.
 */
const concurrency = { inAll: 64, perTenant: 48 };
const bytesInMemory = 32 * 1024 * 1024;
/** What the smallest file counts for, so that at most 16 are read and stored at once. */
const leastBytes = 2 * 1024 * 1024;
const chunksPerStatement = 500;
/** Cutting a long text into chunks lets requests in this often. */
const longestTurnMs = 10;

/**
 * The durable job that makes an accepted document searchable: read → store with a note for the index → index → let it
 * be seen. Killed anywhere, it goes on; a newer version or a deletion ends it without a trace.
 */
export function createIngest(deps: IngestDependencies): JobDefinition<IngestInput> {
  const { store, objects, clock, log, metrics, settlements, retries } = deps;

  const gate = createFairGate(bytesInMemory);

  const readAndStore = async ({ documentId, version }: IngestInput): Promise<'stored' | 'over'> => {
    const row = await store.begin(documentId, version);
    if (!row) return 'over';
    // Stored by a run that was killed before it could say so.
    if (row.status === 'indexing') return 'stored';
    try {
      const stored = await gate.through(row.tenant_id, Math.max(leastBytes, Number(row.bytes)), async () => {
        const file = await metrics.timed('parse', () => parse(row));
        return metrics.timed('store', () => storeFile(row, file));
      });
      return stored ? 'stored' : 'over';
    } catch (error) {
      const failure = asFailure(error);
      if (!failure) throw error;
      if (await store.fail(documentId, version, failure, clock.now())) {
        metrics.ended('failed');
        log.info({ document: documentId, tenant: row.tenant_id, reason: failure.reason }, 'document failed');
        settlements.settled(documentId);
      }
      return 'over';
    }
  };

  const parse = async (row: DocumentRow): Promise<ParsedFile> => {
    const file = await objects.withFile(row.blob_key, (path) =>
      deps.parse({
        path,
        fileName: row.file_name ?? '',
        ...(row.declared_type === null ? {} : { contentType: row.declared_type }),
      }),
    );
    if (file.text === '') throw new ParseFailure('empty', 'There is no text in the file.');
    return file;
  };

  const storeFile = (row: DocumentRow, file: ParsedFile): Promise<boolean> =>
    store.storeText(
      row,
      {
        title: readTitle(file.title, row.file_name, file.text),
        contentType: file.contentType,
        warnings: file.warnings.slice(0, 20).map((warning) => warning.slice(0, 500)),
        textLength: file.text.length,
        parts: textParts(file.text),
        chunkBatches: chunkBatches(file.text, clock, deps.newId),
      },
      clock.now(),
    );

  /** What is ready is found at every instance, unless one is behind by more than a moment. */
  const index = async ({ tenantId, documentId }: IngestInput): Promise<void> => {
    await deps.indexNow(tenantId);
    await deps.otherPlaces.haveTaken(documentId);
  };

  return {
    name: 'ingest',
    concurrency: concurrency.inAll,
    concurrencyPerPartition: concurrency.perTenant,
    maxRecoveries: 25,
    async run(input, step) {
      if ((await step('read and store', () => readAndStore(input), retries)) === 'over') return;
      await step('index', () => metrics.timed('index', () => index(input)).then(() => null), retries);
      const finished = await step(
        'finish',
        () => store.finish(input.documentId, input.version, clock.now()),
        retries,
      );
      if (finished) metrics.ended('ready');
      settlements.settled(input.documentId);
    },
  };
}

/** What to tell the owner, when trying again is of no use. */
function asFailure(error: unknown): { reason: string; detail: string } | null {
  if (error instanceof ParseFailure) return { reason: error.reason, detail: error.message };
  if (error instanceof AppError && error.code === 'not_found') {
    return { reason: 'unreadable', detail: 'The stored file is gone. Send the document again.' };
  }
  return null;
}

async function* chunkBatches(
  text: string,
  clock: Pick<Clock, 'monotonicMs'>,
  newId: NewId,
): AsyncGenerator<(Chunk & { id: string })[]> {
  let batch: (Chunk & { id: string })[] = [];
  let turnBegan = clock.monotonicMs();
  for (const chunk of chunksOf(text)) {
    batch.push({ ...chunk, id: newId() });
    if (batch.length === chunksPerStatement) {
      yield batch;
      batch = [];
      turnBegan = clock.monotonicMs();
    } else if (clock.monotonicMs() - turnBegan > longestTurnMs) {
      await yieldToOthers();
      turnBegan = clock.monotonicMs();
    }
  }
  if (batch.length > 0) yield batch;
}
