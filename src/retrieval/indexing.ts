import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { EmbeddingHealth } from './embedding-health.ts';
import type { Generations } from './generations.ts';
import { createKeyedQueue } from './index/keyed-queue.ts';
import type { SearchIndex } from './index/search-index.ts';
import type { IndexGenerationsStore, KnownGeneration } from './index-generations.store.ts';
import type { IndexSource } from './index-source.ts';
import type { IndexUpkeep } from './index-upkeep.ts';
import type { Step } from './index-writer.ts';
import { createSlots } from './slots.ts';
import type { VectorUpkeep } from './vector-upkeep.ts';

export interface IndexingDependencies {
  readonly index: SearchIndex;
  readonly source: Pick<IndexSource, 'tenantsWithIndexChanges'>;
  readonly store: Pick<IndexGenerationsStore, 'tenantsWithGenerations' | 'tenantsWithUnfinishedVectors'>;
  readonly generations: Generations;
  readonly upkeep: IndexUpkeep;
  readonly vectors: VectorUpkeep;
  readonly embedding: EmbeddingHealth;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Indexing {
  /**
   * Resolves when everything that changed before the call is in the tenant's index. Calls that come together share
   * one run. Rejects when the index cannot be written; the changes stay and are tried again within seconds.
   */
  indexNow(tenantId: string): Promise<void>;
  /**
   * The generation that answers; null for a tenant without documents.
   * @throws AppError `dependency_down` with a time to come back while the index is being mended.
   */
  forSearch(tenantId: string): Promise<KnownGeneration | null>;
  /** Something of the tenant's documents changed, perhaps at another instance: it is indexed soon; nobody waits. */
  changed(tenantId: string): void;
  /** Has the tenant's index looked at and mended. Searches are refused until that is done. */
  repair(tenantId: string): void;
  /** How many passages of a document its tenant's index still holds: the probe after a deletion. */
  indexedPassages(tenantId: string, documentId: string): Promise<number>;
  /** Begins the work in the background; waits for none of it. */
  start(): void;
  stop(): Promise<void>;
  /** Resolves when nothing is under way: for tests, and before a measurement. */
  idle(): Promise<void>;
}

/** Tenants whose indexes are worked on at once: each may hold thousands of passages in memory. */
const tenantsAtOnce = 4;
/** Pieces of work that may wait for one tenant's index; calls of `indexNow` that wait count as one. */
const maxWaiting = 16;
/** How often what nobody asked for is looked for: left-over changes, changed routes, a broken index. */
const lookAroundMs = 2_000;
/** How long a search waits for the first look at an index, which is quick when nothing is wrong with it. */
const searchWaitsMs = 2_000;
const comeBackSeconds = 5;

/** Keeps every tenant's index up to date: one writer for each tenant, a few tenants at a time. */
export function createIndexing(deps: IndexingDependencies): Indexing {
  const { index, generations, upkeep, vectors, embedding, clock, log } = deps;
  const lines = createKeyedQueue({ maxWaiting });
  const inSlot = createSlots(tenantsAtOnce);
  const waitingRuns = new Map<string, Promise<void>>();
  /** Tenants whose index was found to be, or made, equal to the database since this process started. */
  const sound = new Set<string>();
  const checks = new Map<string, Promise<void>>();
  const improvements = new Map<string, Promise<void>>();
  const stopping = new AbortController();
  let background: Promise<unknown> = Promise.resolve();

  const inLine = <T>(tenantId: string, work: () => Promise<T>): Promise<T> =>
    lines.run(tenantId, () =>
      inSlot(() => {
        stopping.signal.throwIfAborted();
        return work();
      }),
    );

  function indexNow(tenantId: string): Promise<void> {
    const waiting = waitingRuns.get(tenantId);
    if (waiting) return waiting;
    const run = inLine(tenantId, () => {
      // Who calls from here on may have changed something that this run does not see.
      waitingRuns.delete(tenantId);
      return upkeep.drain(tenantId);
    });
    waitingRuns.set(tenantId, run);
    run.then(
      () => improve(tenantId),
      (error) => {
        if (waitingRuns.get(tenantId) === run) waitingRuns.delete(tenantId);
        if (isIndexFailure(error)) repair(tenantId);
      },
    );
    return run;
  }

  /** Together with a look that is under way already. */
  function check(tenantId: string): Promise<void> {
    const running = checks.get(tenantId);
    if (running) return running;
    const fresh = upkeep
      .check(tenantId, (work) => inLine(tenantId, work))
      .then(() => {
        sound.add(tenantId);
        improve(tenantId);
      })
      .finally(() => checks.delete(tenantId));
    checks.set(tenantId, fresh);
    return fresh;
  }

  function repair(tenantId: string): void {
    sound.delete(tenantId);
    check(tenantId).catch((error) => warn(error, tenantId, 'the search index could not be mended yet'));
  }

  /** Only on a sound index: what is being mended may be dropped at any time. */
  function improve(tenantId: string): void {
    if (!sound.has(tenantId) || improvements.has(tenantId) || stopping.signal.aborted) return;
    const step: Step = (work) =>
      inLine(tenantId, () => {
        if (!sound.has(tenantId)) throw new Error('the index is being mended first');
        return work();
      });
    const running = vectors
      .improve(tenantId, step)
      .catch((error) => {
        warn(error, tenantId, 'the vectors of the search index are not up to date yet');
      })
      .finally(() => improvements.delete(tenantId));
    improvements.set(tenantId, running);
  }

  /** Whether the routes now name another embedding model than the one that made the tenant's vectors. */
  async function hasAnotherModel(tenantId: string): Promise<boolean> {
    const wanted = embedding.wantedModel(tenantId);
    return wanted !== null && (await generations.active(tenantId))?.embeddingModel !== wanted.identity;
  }

  function warn(error: unknown, tenantId: string, message: string): void {
    if (!stopping.signal.aborted) log.warn({ err: error, tenant: tenantId }, message);
  }

  /** Everything that may wait, of every tenant; a few at a time. */
  async function lookAround(): Promise<void> {
    const [changed, indexed, unfinished] = await Promise.all([
      deps.source.tenantsWithIndexChanges(),
      deps.store.tenantsWithGenerations(),
      deps.store.tenantsWithUnfinishedVectors(),
    ]);
    const tenants = [...new Set([...changed, ...indexed])].values();
    const hasChanged = new Set(changed);
    const isUnfinished = new Set(unfinished);
    const look = async (tenantId: string) => {
      if (!sound.has(tenantId)) await check(tenantId);
      else if (hasChanged.has(tenantId)) await indexNow(tenantId);
      if (isUnfinished.has(tenantId) || (await hasAnotherModel(tenantId))) improve(tenantId);
    };
    const worker = async () => {
      for (const tenantId of tenants) {
        if (stopping.signal.aborted) return;
        await look(tenantId).catch((error) =>
          warn(error, tenantId, 'the search index is not up to date yet'),
        );
      }
    };
    await Promise.all(Array.from({ length: tenantsAtOnce }, worker));
  }

  return {
    indexNow,
    repair,

    changed(tenantId) {
      // An index that was not looked at yet is brought up to date by that look.
      if (sound.has(tenantId) && !stopping.signal.aborted) indexNow(tenantId).catch(() => {});
    },

    async forSearch(tenantId) {
      if (!sound.has(tenantId)) {
        const patience = new AbortController();
        await Promise.race([check(tenantId), clock.sleep(searchWaitsMs, patience.signal)]).catch((error) =>
          warn(error, tenantId, 'the search index could not be looked at'),
        );
        patience.abort();
      }
      if (!sound.has(tenantId)) throw beingMended();
      return generations.active(tenantId);
    },

    async indexedPassages(tenantId, documentId) {
      const { active, building } = await generations.of(tenantId);
      const present = [active, building].filter((generation) => generation !== null);
      const counts = await Promise.all(present.map((one) => index.count(tenantId, one, documentId)));
      return counts.reduce((sum, count) => sum + count, 0);
    },

    start() {
      background = (async () => {
        while (!stopping.signal.aborted) {
          await lookAround().catch((error) => log.warn({ err: error }, 'indexes could not be looked after'));
          await clock.sleep(lookAroundMs, stopping.signal).catch(() => {});
        }
      })();
    },

    async stop() {
      stopping.abort(new AppError('shutting_down', 'The server is stopping.'));
      embedding.stop();
      await background;
      await lines.idle();
      await Promise.allSettled([...checks.values(), ...improvements.values()]);
    },

    async idle() {
      while (checks.size > 0 || improvements.size > 0 || waitingRuns.size > 0) {
        await Promise.allSettled([...checks.values(), ...improvements.values(), ...waitingRuns.values()]);
      }
      await lines.idle();
    },
  };
}

function isIndexFailure(error: unknown): boolean {
  return error instanceof AppError && error.code === 'dependency_down';
}

/** The refusal of a search while there is no complete index to ask. */
export function beingMended(cause?: unknown): AppError {
  return new AppError(
    'dependency_down',
    'The search index is being built again from the stored documents. Try again shortly.',
    { retryAfterSeconds: comeBackSeconds, cause },
  );
}
