import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { EmbedTexts } from './embed-texts.ts';
import type { EmbeddingHealth } from './embedding-health.ts';
import type { Generations } from './generations.ts';
import type { SearchIndex } from './index/search-index.ts';
import type { IndexGenerationsStore, KnownGeneration } from './index-generations.store.ts';
import type { IndexSource } from './index-source.ts';
import type { IndexUpkeep } from './index-upkeep.ts';
import { DimensionsChanged, type IndexWriter, type Step } from './index-writer.ts';
import type { EmbeddingUse } from './model-calls.ts';

export interface VectorUpkeepDependencies {
  readonly index: SearchIndex;
  readonly source: IndexSource;
  readonly store: Pick<IndexGenerationsStore, 'vectorsMissing' | 'countFailedAttempt'>;
  readonly writer: IndexWriter;
  readonly generations: Generations;
  readonly upkeep: Pick<IndexUpkeep, 'drain'>;
  readonly embedTexts: EmbedTexts;
  readonly embedding: EmbeddingHealth;
  readonly newId: NewId;
  readonly log: Log;
}

export type VectorUpkeep = ReturnType<typeof createVectorUpkeep>;

type Outcome = 'more' | 'done';

/** How long one batch of vectors may take. */
const patienceMs = 60_000;
const documentsPerBatch = 16;

/**
 * Gives a tenant's passages the vectors that its routes ask for: makes up for missing ones, and builds a new
 * generation beside the active one when the embedding model changes. The active one answers until the new one has
 * every vector.
 */
export function createVectorUpkeep(deps: VectorUpkeepDependencies) {
  const { index, source, store, writer, generations, embedding, log } = deps;
  /** Building generations that this process has compared with the database. */
  const compared = new Map<string, number>();
  /** Tenants whose model now gives vectors of another length than those in the active generation. */
  const outgrown = new Set<string>();

  async function improve(tenantId: string, step: Step): Promise<void> {
    for (;;) {
      const next = await step(() => improveOnce(tenantId));
      if (next === 'done') return;
      if (next === 'more') continue;
      await writer.reconcile(tenantId, next.compare, step);
      compared.set(tenantId, next.compare.number);
    }
  }

  async function improveOnce(tenantId: string): Promise<Outcome | { compare: KnownGeneration }> {
    if (embedding.isPaused(tenantId)) return 'done';
    const { active, building } = await generations.of(tenantId);
    if (!active) return 'done';
    const wanted = embedding.wantedModel(tenantId);
    const isCurrent = active.embeddingModel === wanted?.identity && !outgrown.has(tenantId);
    // Without a model there is nothing better to build; vectors that are there stay for when it comes back.
    if (building && (wanted === null || isCurrent || building.embeddingModel !== wanted.identity)) {
      await generations.discard(tenantId, building);
      return 'more';
    }
    if (wanted === null) return 'done';
    if (isCurrent) return makeUp(tenantId, active, 'done');
    if (!building) return begin(tenantId);
    if (compared.get(tenantId) !== building.number) return { compare: building };
    return makeUp(tenantId, building, () => switchTo(tenantId, building, active));
  }

  function begin(tenantId: string): Promise<Outcome> {
    return attempt(tenantId, async (use) => {
      const [first] = await source.indexableDocuments(tenantId, null, 1);
      const begun = first && (await generations.addBuilding(tenantId, first.documentId, use));
      if (!begun) return 'done';
      const { number, dimensions, embeddingModel: model } = begun;
      log.info(
        { tenant: tenantId, generation: number, model, dimensions },
        'a new index generation is being built',
      );
      return 'more';
    });
  }

  async function switchTo(tenantId: string, next: KnownGeneration, last: KnownGeneration): Promise<Outcome> {
    await deps.upkeep.drain(tenantId);
    // So that the first searches do not pay for what the building left behind.
    await index.optimise(tenantId, next, { force: true });
    await generations.switchTo(tenantId, next, last);
    outgrown.delete(tenantId);
    log.info({ tenant: tenantId, generation: next.number }, 'the new index generation answers from now on');
    return 'more';
  }

  /** Makes some of the vectors that a generation lacks; when it lacks none, does what comes `then`. */
  async function makeUp(
    tenantId: string,
    generation: KnownGeneration,
    then: 'done' | (() => Promise<Outcome>),
  ): Promise<Outcome> {
    const waiting = await store.vectorsMissing(tenantId, generation.number, documentsPerBatch);
    if (waiting.length === 0) return then === 'done' ? then : then();
    return attempt(tenantId, async (use) => {
      try {
        await writer.writeVectors(tenantId, generation, waiting, use);
      } catch (error) {
        if (error instanceof DimensionsChanged) return startOver(tenantId, generation);
        await withoutTheCulprit(tenantId, generation, waiting, use, error);
      }
      return 'more';
    });
  }

  /**
   * Is it the model that fails, or one document that it will not take? The others must not wait for that one.
   * @throws the error when it is the model.
   */
  async function withoutTheCulprit(
    tenantId: string,
    generation: KnownGeneration,
    waiting: readonly string[],
    use: EmbeddingUse,
    error: unknown,
  ): Promise<void> {
    const probe = [`Does this model answer? ${deps.newId()}`];
    await deps.embedTexts(use, probe).catch(() => {
      throw error;
    });
    for (const documentId of waiting) {
      await writer
        .writeVectors(tenantId, generation, [documentId], use)
        .catch(() => store.countFailedAttempt(tenantId, generation.number, documentId));
    }
  }

  /** Under the same name another model answers now: what it makes belongs into a generation of its own. */
  async function startOver(tenantId: string, generation: KnownGeneration): Promise<Outcome> {
    if (generation.state === 'building') await generations.discard(tenantId, generation);
    else outgrown.add(tenantId);
    return 'more';
  }

  /** Runs `work` unless the model is left alone, and leaves it alone for a while when it fails. */
  function attempt(tenantId: string, work: (use: EmbeddingUse) => Promise<Outcome>): Promise<Outcome> {
    return embedding.withModel(tenantId, patienceMs, async (use) => {
      if (!use) return 'done';
      try {
        const outcome = await work(use);
        embedding.worked(tenantId);
        return outcome;
      } catch (error) {
        embedding.failed(tenantId, error);
        return 'done';
      }
    });
  }

  return { improve };
}
