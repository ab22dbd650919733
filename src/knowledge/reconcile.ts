import type { Clock } from '../platform/clock.ts';
import type { JobQueue } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Objects } from '../platform/objects.ts';
import type { BlobPlaces } from './blob-places.ts';
import type { DeletionStore } from './deletion.store.ts';
import { type DeletionInput, deletionJobId } from './deletion.ts';
import type { IngestStore, UnfinishedDocument } from './ingest.store.ts';
import { type IngestInput, ingestJobId } from './ingest.ts';
import type { IngestMetrics } from './ingest-metrics.ts';
import type { LooseBlobsStore } from './loose-blobs.store.ts';
import type { Settlements } from './settlements.ts';

export interface ReconcileDependencies {
  readonly ingestStore: IngestStore;
  readonly deletionStore: DeletionStore;
  readonly blobs: LooseBlobsStore;
  readonly ingests: JobQueue<IngestInput>;
  readonly deletions: JobQueue<DeletionInput>;
  readonly objects: Objects;
  readonly blobPlaces: BlobPlaces;
  /** Does the work unless another instance is doing it. */
  /** Whether an instance serves from the place now. */
  readonly isServed: (place: string) => boolean;
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** What else is done at each turn. */
  readonly also: readonly (() => Promise<void>)[];
  readonly settlements: Settlements;
  readonly metrics: IngestMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

const everyMs = 60_000;
const clearEveryMs = 1_000;
const pageSize = 500;
/** A job that ended without an outcome is begun anew this often, a minute or more apart. */
const maxAttempts = 10;

/**
 * Brings work and rows back together, at the start and every minute: accepted documents whose job was never enqueued
 * (killed in between) or ended without an outcome (the index was away for long), open deletions likewise, and files
 * that no document holds.
 */
export function createReconciler(deps: ReconcileDependencies) {
  const { ingestStore, deletionStore, blobs, ingests, deletions, objects, blobPlaces, clock, log } = deps;
  let stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  const reconcileDocuments = async (): Promise<void> => {
    let after: string | null = null;
    const waitingFor = new Map<string, number>();
    do {
      const rows: UnfinishedDocument[] = await ingestStore.unfinished(after, pageSize);
      const states = await ingests.states(rows.map((row) => ingestJobId(row.id, row.version)));
      for (const row of rows) {
        const jobId = ingestJobId(row.id, row.version);
        const state = states.get(jobId);
        const place = blobPlaces.placeOf(row.blob_key);
        if (place !== null && state === 'waiting') waitingFor.set(place, (waitingFor.get(place) ?? 0) + 1);
        if (state === 'waiting' || state === 'running') continue;
        if (state === 'given_up' || row.attempts >= maxAttempts) await giveUp(row);
        else await beginAgain(row, jobId, state !== undefined);
      }
      after = rows.length === pageSize ? (rows.at(-1)?.id ?? null) : null;
    } while (after !== null && !stopping.signal.aborted);
    for (const [place, documents] of waitingFor) {
      if (deps.isServed(place)) continue;
      log.warn(
        { place, documents },
        'documents wait for an instance to be started on the data directory that has their files',
      );
    }
  };

  const beginAgain = async (row: UnfinishedDocument, jobId: string, ended: boolean): Promise<void> => {
    if (ended) {
      await ingestStore.countAttempt(row.id, row.version);
      await ingests.forget(jobId);
    }
    const input = { documentId: row.id, tenantId: row.tenant_id, version: row.version };
    await ingests.enqueue(jobId, row.tenant_id, input, blobPlaces.placeOf(row.blob_key));
  };

  const giveUp = async (row: UnfinishedDocument): Promise<void> => {
    const detail =
      'Reading this document was begun many times and never came to an end. Send it again, or report it to the operator.';
    if (await ingestStore.fail(row.id, row.version, { reason: 'gave_up', detail }, clock.now())) {
      log.error({ document: row.id, tenant: row.tenant_id }, 'gave up on a document');
      deps.metrics.ended('failed');
      deps.settlements.settled(row.id);
    }
  };

  const reconcileDeletions = async (): Promise<void> => {
    let after: string | null = null;
    do {
      const rows = await deletionStore.openReceipts(after, pageSize);
      const states = await deletions.states(rows.map((row) => deletionJobId(row.id)));
      for (const row of rows) {
        const state = states.get(deletionJobId(row.id));
        if (state === 'waiting' || state === 'running') continue;
        // A deletion is never given up.
        if (state !== undefined) await deletions.forget(deletionJobId(row.id));
        await deletions.enqueue(deletionJobId(row.id), row.tenant_id, { receiptId: row.id });
      }
      after = rows.length === pageSize ? (rows.at(-1)?.id ?? null) : null;
    } while (after !== null && !stopping.signal.aborted);
  };

  const removeLooseBlobs = async (before = clock.now()): Promise<void> => {
    let keys: string[] = [];
    do {
      keys = await blobs.removable(before, keys.at(-1) ?? '', pageSize);
      for (const key of keys.filter(blobPlaces.isHere)) {
        await objects.remove(key);
        await blobs.forgetAsPlatform(key);
      }
    } while (keys.length === pageSize && !stopping.signal.aborted);
  };

  const reconcile = async (): Promise<void> => {
    const inTurn = async (...parts: (() => Promise<void>)[]): Promise<void> => {
      for (const part of parts)
        await part().catch((error) => log.warn({ err: error }, `${part.name} failed; again in a minute`));
    };
    await inTurn(
      () => deps.alone(() => inTurn(reconcileDeletions, reconcileDocuments)),
      () => removeLooseBlobs(),
      ...deps.also,
    );
  };

  return {
    /** Once through; also what the tests call. */
    reconcile,
    start(): void {
      stopping = new AbortController();
      const periodically = async (ms: number, work: () => Promise<void>): Promise<void> => {
        while (!stopping.signal.aborted) {
          await work();
          await clock.sleep(ms, stopping.signal).catch(() => {});
        }
      };
      // Another instance may be waiting for files that only this one can remove.
      // The deletion's own process is quicker, where it has the file itself.
      const clear = () =>
        removeLooseBlobs(new Date(clock.now().getTime() - clearEveryMs)).catch((error) =>
          log.warn({ err: error }, 'files were not cleared away yet'),
        );
      const loops = [periodically(everyMs, reconcile)];
      if (blobPlaces.patterns) loops.push(periodically(clearEveryMs, clear));
      loop = Promise.all(loops).then(() => {});
    },
    async stop(): Promise<void> {
      stopping.abort();
      await loop;
    },
  };
}
