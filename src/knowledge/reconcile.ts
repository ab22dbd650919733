import type { Clock } from '../platform/clock.ts';
import type { JobQueue } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Objects } from '../platform/objects.ts';
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
  readonly settlements: Settlements;
  readonly metrics: IngestMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

const everyMs = 60_000;
const pageSize = 500;
/** A job that ended without an outcome is begun anew this often, a minute or more apart. */
const maxAttempts = 10;

/**
 * Brings work and rows back together, at the start and every minute: accepted documents whose job was never enqueued
 * (killed in between) or ended without an outcome (the index was away for long), open deletions likewise, and files
 * that no document holds.
 */
export function createReconciler(deps: ReconcileDependencies) {
  const { ingestStore, deletionStore, blobs, ingests, deletions, objects, clock, log } = deps;
  let stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  const reconcileDocuments = async (): Promise<void> => {
    let after: string | null = null;
    do {
      const rows: UnfinishedDocument[] = await ingestStore.unfinished(after, pageSize);
      const states = await ingests.states(rows.map((row) => ingestJobId(row.id, row.version)));
      for (const row of rows) {
        const jobId = ingestJobId(row.id, row.version);
        const state = states.get(jobId);
        if (state === 'waiting' || state === 'running') continue;
        if (state === 'given_up' || row.attempts >= maxAttempts) await giveUp(row);
        else await beginAgain(row, jobId, state !== undefined);
      }
      after = rows.length === pageSize ? (rows.at(-1)?.id ?? null) : null;
    } while (after !== null && !stopping.signal.aborted);
  };

  const beginAgain = async (row: UnfinishedDocument, jobId: string, ended: boolean): Promise<void> => {
    if (ended) {
      await ingestStore.countAttempt(row.id, row.version);
      await ingests.forget(jobId);
    }
    await ingests.enqueue(jobId, row.tenant_id, {
      documentId: row.id,
      tenantId: row.tenant_id,
      version: row.version,
    });
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

  const removeLooseBlobs = async (): Promise<void> => {
    let keys: string[];
    do {
      keys = await blobs.removable(clock.now(), pageSize);
      for (const key of keys) {
        await objects.remove(key);
        await blobs.forgetAsPlatform(key);
      }
    } while (keys.length === pageSize && !stopping.signal.aborted);
  };

  const reconcile = async (): Promise<void> => {
    for (const part of [reconcileDeletions, reconcileDocuments, removeLooseBlobs]) {
      await part().catch((error) => log.warn({ err: error }, `${part.name} failed; again in a minute`));
    }
  };

  return {
    /** Once through; also what the tests call. */
    reconcile,
    start(): void {
      stopping = new AbortController();
      loop = (async () => {
        while (!stopping.signal.aborted) {
          await reconcile();
          await clock.sleep(everyMs, stopping.signal).catch(() => {});
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await loop;
    },
  };
}
