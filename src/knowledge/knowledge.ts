import type { Clock } from '../platform/clock.ts';
import type { Database } from '../platform/database/database.ts';
import type { NewId } from '../platform/ids.ts';
import type { Jobs, StepRetries } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Objects } from '../platform/objects.ts';
import { alone } from './alone.store.ts';
import { createBlobPlaces, onePlace } from './blob-places.ts';
import { createDeletionStore } from './deletion.store.ts';
import { createDeletion, type DerivedPlace } from './deletion.ts';
import { createDocuments } from './documents.service.ts';
import { createDocumentsStore } from './documents.store.ts';
import { createIndexFeed } from './index-feed.store.ts';
import { createIndexPlaces } from './index-places.store.ts';
import { createIngestStore } from './ingest.store.ts';
import { createIngest, type IndexNow, type ParseFile } from './ingest.ts';
import { createIngestMetrics } from './ingest-metrics.ts';
import { createKnowledgeVersionStore } from './knowledge-version.store.ts';
import { createLooseBlobsStore } from './loose-blobs.store.ts';
import { createOtherPlaces, noOtherPlaces } from './other-places.ts';
import { createPassagesStore } from './passages.store.ts';
import { createReceivedFiles } from './received-files.ts';
import { createReconciler } from './reconcile.ts';
import { createSettlements } from './settlements.ts';

export interface KnowledgeDependencies {
  readonly database: Database;
  readonly objects: Objects;
  /**
   * Where this instance keeps index and files, when there may be others that keep their own. `sharedFiles`: new
   * files go to a store that is the same for all (keys `documents/shared/…`).
   */
  readonly place?: {
    readonly own: string;
    /** Places of the other instances that live. */
    readonly others: () => readonly string[];
    readonly sharedFiles: boolean;
  };
  /** Not started yet: the kinds of work are registered here. */
  readonly jobs: Jobs;
  readonly parse: ParseFile;
  /** Whether a tenant has a role of that name. */
  readonly knowsRole: (tenantId: string, role: string) => boolean;
  readonly indexNow: IndexNow;
  /** How many rows of a document the tenant's index holds, all generations together; asked after a deletion. */
  readonly indexHolds: (tenantId: string, documentId: string) => Promise<number>;
  /** Other places that hold what was made of documents, such as cached answers. */
  readonly derivedPlaces?: readonly DerivedPlace[];
  /** Bytes of one uploaded file; 256 MiB when not given. */
  readonly maxFileBytes?: number;
  /** How a step of work that failed is tried again. */
  readonly retries?: StepRetries;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Half a second, one, two, four: what lasts longer, the reconciler takes up a minute later. */
const defaultRetries: StepRetries = { attempts: 5, firstDelayMs: 500 };

export type Knowledge = ReturnType<typeof createKnowledge>;

/** Documents, the work on them, and what search and the indexer read of them. */
export function createKnowledge(deps: KnowledgeDependencies) {
  const { database, objects, jobs, clock, log, retries = defaultRetries } = deps;
  let firstPlace: string | null = null;
  const places = deps.place ? createIndexPlaces(database, deps.place.own) : null;
  const blobPlaces = deps.place
    ? createBlobPlaces(deps.place.own, deps.place.sharedFiles, () => firstPlace)
    : onePlace;
  const otherPlaces =
    deps.place && places
      ? createOtherPlaces({ living: deps.place.others, withoutChangesOf: places.withoutChangesOf, clock })
      : noOtherPlaces;
  const ingestStore = createIngestStore(database);
  const deletionStore = createDeletionStore(database);
  const blobs = createLooseBlobsStore(database, blobPlaces.patterns);
  const settlements = createSettlements(clock);
  const metrics = createIngestMetrics(deps.metrics, clock, ingestStore.countUnfinished);
  const index: DerivedPlace = {
    name: 'index',
    forget: async (tenantId) => {
      await deps.indexNow(tenantId);
      return null;
    },
    // Another instance is done with a deletion once it has looked that nothing is left.
    count: async (tenantId, documentId) =>
      (await deps.indexHolds(tenantId, documentId)) + (await otherPlaces.haveTaken(documentId)),
  };

  const ingests = jobs.register(
    createIngest({ ...deps, store: ingestStore, otherPlaces, settlements, metrics, retries }),
  );
  const deletions = jobs.register(
    createDeletion({
      store: deletionStore,
      blobs,
      objects,
      blobPlaces,
      derivedPlaces: [index, ...(deps.derivedPlaces ?? [])],
      settlements,
      retries,
      clock,
      log,
    }),
  );
  const reconciler = createReconciler({
    ingestStore,
    deletionStore,
    blobs,
    ingests,
    deletions,
    objects,
    blobPlaces,
    isServed: (place) => place === deps.place?.own || deps.place?.others().includes(place) === true,
    alone: (work) => alone(database, work),
    also: places ? [lookAfterPlaces] : [],
    settlements,
    metrics,
    clock,
    log,
  });

  async function lookAfterPlaces(): Promise<void> {
    for (const forgotten of (await places?.lookAfter()) ?? []) {
      log.warn(
        { place: forgotten },
        'a data directory that nobody serves from was forgotten; its index is built again',
      );
    }
  }

  return {
    documents: createDocuments({
      ...deps,
      store: createDocumentsStore(database),
      files: createReceivedFiles({ ...deps, blobPlaces, store: blobs }),
      blobPlaces,
      ingests,
      deletions,
      settlements,
    }),
    /** What search and answers read, as the caller. */
    passages: createPassagesStore(database),
    ...createKnowledgeVersionStore(database),
    /** What the indexer reads, as the platform. */
    indexFeed: createIndexFeed(database, deps.place?.own),
    /**
     * From here on this place's index is told of every change. Before the index is used. @returns whether what is there
     * now may be anything, and has to go.
     */
    async takePlace(): Promise<'known' | 'new'> {
      if (!places) return 'known';
      const registered = await places.register();
      firstPlace = registered.firstPlace;
      return registered.index;
    },
    /** Brings accepted work back to life; after the jobs have started. */
    start: () => reconciler.start(),
    /** Before the jobs stop. */
    stop: () => reconciler.stop(),
    /** One round of what `start` does every minute. */
    reconcile: () => reconciler.reconcile(),
  };
}
