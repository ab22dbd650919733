import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { EmbeddingHealth } from './embedding-health.ts';
import type { Generations } from './generations.ts';
import type { SearchIndex } from './index/search-index.ts';
import type { KnownGeneration } from './index-generations.store.ts';
import type { IndexSource } from './index-source.ts';
import type { IndexWriter, Step } from './index-writer.ts';

export interface IndexUpkeepDependencies {
  readonly index: SearchIndex;
  readonly source: IndexSource;
  /** The documents that changed last, newest first. */
  readonly recentDocuments: (tenantId: string, limit: number) => Promise<readonly string[]>;
  readonly writer: IndexWriter;
  readonly generations: Generations;
  readonly embedding: EmbeddingHealth;
  readonly clock: Clock;
  readonly log: Log;
}

export type IndexUpkeep = ReturnType<typeof createIndexUpkeep>;

const changesAtOnce = 200;
/** As many changes as are looked through for one document's. */
const maxChangesWaiting = 10_000;
/** How long a changed document waits for its vectors before it is searchable by its words alone. */
const patienceMs = 10_000;
/** An index that cannot be read is looked at again after this long, before it is taken for broken. */
const secondLookMs = 1_000;
/** Recently changed documents whose passages are compared one by one. */
const comparedClosely = 20;

/** Keeps one tenant's index equal to the database. No two calls for one tenant may run at once. */
export function createIndexUpkeep(deps: IndexUpkeepDependencies) {
  const { index, source, writer, generations, embedding, clock, log } = deps;

  /** Brings everything into the index that changed before the call. */
  async function drain(tenantId: string): Promise<void> {
    const { active: known, building } = await generations.of(tenantId);
    let active = known;
    for (;;) {
      const changes = await source.takeIndexChanges(tenantId, changesAtOnce);
      const [first] = changes;
      if (!first) break;
      active ??= await generations.addFirst(tenantId, first.documentId);
      const documentIds = changes.map(({ documentId }) => documentId);
      await writeChanged(tenantId, active, documentIds);
      if (building) await writer.write(tenantId, building, documentIds, null);
      const deleted = changes.filter(({ change }) => change === 'delete');
      for (const { documentId } of deleted) await makeSure(tenantId, documentId, [active, building]);
      // Only now, so that a crash before it brings them again.
      await source.finishIndexChanges(changes.map(({ id }) => id));
      if (changes.length < changesAtOnce) break;
    }
  }

  /** Others take it from a finished change that a deleted document is gone here. @throws when it is not. */
  async function makeSure(
    tenantId: string,
    documentId: string,
    kept: readonly (KnownGeneration | null)[],
  ): Promise<void> {
    if ((await source.chunksForIndex(tenantId, documentId)) !== null) return;
    for (const generation of kept) {
      const left = generation ? await index.count(tenantId, generation, documentId) : 0;
      if (left > 0) throw new Error(`${left} passages of a deleted document are still in the index`);
    }
  }

  async function writeChanged(
    tenantId: string,
    generation: KnownGeneration,
    documentIds: readonly string[],
  ): Promise<void> {
    await embedding.withModel(tenantId, patienceMs, async (use) => {
      const { embeddingFailure } = await writer.write(tenantId, generation, documentIds, use);
      if (embeddingFailure !== null) embedding.failed(tenantId, embeddingFailure);
    });
  }

  /**
   * Compares the active generation with the database and mends it, from nothing if need be. Rejects when that cannot
   * be done now.
   */
  async function check(tenantId: string, step: Step): Promise<void> {
    const active = await step(async () => {
      const { active, retired } = await generations.of(tenantId);
      for (const old of retired) await generations.discard(tenantId, old);
      if (active) return active;
      const [first] = await source.indexableDocuments(tenantId, null, 1);
      return first ? generations.addFirst(tenantId, first.documentId) : null;
    });
    if (!active) return;
    await step(async () => {
      if (await isBroken(tenantId, active)) {
        log.warn(
          { tenant: tenantId, generation: active.number },
          'the search index is broken and is built again',
        );
        await index.drop(tenantId, active.number);
      }
      // Makes one without passages where there is none at all.
      await index.apply(tenantId, active, { upsertDocuments: [], deleteDocuments: [] });
    });
    await step(() => drain(tenantId));
    const written = await writer.reconcile(tenantId, active, step);
    if (written === 0) return;
    log.info(
      { tenant: tenantId, generation: active.number, documents: written },
      'the search index was mended',
    );
  }

  async function isBroken(tenantId: string, active: KnownGeneration): Promise<boolean> {
    const { state } = await index.statistics(tenantId, active);
    if (state === 'absent') return false;
    if (state === 'ready') return isOutdated(tenantId, active);
    await clock.sleep(secondLookMs);
    return (await index.statistics(tenantId, active)).state === 'unreadable';
  }

  /**
   * Whether the index proposes other passages of a document than the database has. Only one that was put back from an
   * older copy does: the changes since then are finished, and nothing would bring them again.
   */
  async function isOutdated(tenantId: string, active: KnownGeneration): Promise<boolean> {
    for (const documentId of await deps.recentDocuments(tenantId, comparedClosely)) {
      const document = await source.chunksForIndex(tenantId, documentId);
      if (!document) continue;
      const words = `${document.title} ${document.chunks[0]?.text.slice(0, 1_000) ?? ''}`;
      const found = await index.lexical(tenantId, active, words, { limit: 1, documentIds: [documentId] });
      const chunkIds = new Set(document.chunks.map(({ id }) => id));
      if (found.every(({ chunkId }) => chunkIds.has(chunkId))) continue;
      // Unless it changed an instant ago, and that is on its way.
      const waiting = await source.takeIndexChanges(tenantId, maxChangesWaiting);
      if (!waiting.some((change) => change.documentId === documentId)) return true;
    }
    return false;
  }

  return { drain, check };
}
