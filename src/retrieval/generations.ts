import type { Clock } from '../platform/clock.ts';
import type { EmbedTexts } from './embed-texts.ts';
import type { EmbeddingHealth } from './embedding-health.ts';
import type { SearchIndex } from './index/search-index.ts';
import type { IndexGenerationsStore, KnownGeneration } from './index-generations.store.ts';
import type { IndexSource } from './index-source.ts';
import { embeddedTexts } from './index-writer.ts';
import type { EmbeddingUse } from './model-calls.ts';

export interface GenerationsDependencies {
  readonly index: SearchIndex;
  readonly source: Pick<IndexSource, 'chunksForIndex'>;
  readonly store: IndexGenerationsStore;
  readonly embedTexts: EmbedTexts;
  readonly embedding: EmbeddingHealth;
  readonly clock: Clock;
}

export type Generations = ReturnType<typeof createGenerations>;

/** How long the first document of a tenant waits for the embedding model to say how long its vectors are. */
const patienceMs = 10_000;

/** The generations of tenants' indexes: begun, switched and ended. */
export function createGenerations({
  index,
  source,
  store,
  embedTexts,
  embedding,
  clock,
}: GenerationsDependencies) {
  /** The generations that answer, so that a search need not ask the database which. */
  const answering = new Map<string, KnownGeneration>();

  /** A number that no generation of the tenant ever had. */
  async function add(
    tenantId: string,
    state: KnownGeneration['state'],
    embeddingModel: string | null,
    dimensions: number | null,
  ): Promise<KnownGeneration> {
    const [newest] = await store.generations(tenantId);
    const generation = { number: (newest?.number ?? 0) + 1, state, embeddingModel, dimensions };
    await store.insert(tenantId, generation, clock.now());
    return generation;
  }

  /** How long the model's vectors are, told by embedding a passage. @throws what the model throws. */
  async function dimensionsOf(
    tenantId: string,
    documentId: string,
    use: EmbeddingUse,
  ): Promise<number | null> {
    const document = await source.chunksForIndex(tenantId, documentId);
    const [sample] = document ? embeddedTexts(document) : [];
    if (sample === undefined) return null;
    const [vector] = await embedTexts(use, [sample]);
    return vector?.length ?? null;
  }

  /** Ends a generation for good. Its row stays while its number is the newest, so that the number is not given again. */
  async function discard(tenantId: string, generation: KnownGeneration): Promise<void> {
    await store.retire(tenantId, generation.number);
    await index.drop(tenantId, generation.number);
    const [newest] = await store.generations(tenantId);
    if (newest && newest.number > generation.number) await store.remove(tenantId, generation.number);
  }

  return {
    discard,

    /** Every generation there is, as the database says it. */
    async of(tenantId: string) {
      const all = await store.generations(tenantId);
      const active = all.find(({ state }) => state === 'active') ?? null;
      if (active) answering.set(tenantId, active);
      else answering.delete(tenantId);
      return {
        active,
        building: all.find(({ state }) => state === 'building') ?? null,
        retired: all.filter(({ state }) => state === 'retired'),
      };
    },

    /** The one that answers, from memory once it is known; null for a tenant without documents. */
    async active(tenantId: string): Promise<KnownGeneration | null> {
      return answering.get(tenantId) ?? (await this.of(tenantId)).active;
    },

    /** A tenant's first: with vectors when the model answers now, else by words; then vectors are a new generation. */
    addFirst: (tenantId: string, documentId: string): Promise<KnownGeneration> =>
      embedding.withModel(tenantId, patienceMs, async (use) => {
        if (use === null) return add(tenantId, 'active', null, null);
        const dimensions = await dimensionsOf(tenantId, documentId, use).catch((error) => {
          embedding.failed(tenantId, error);
          return null;
        });
        return add(tenantId, 'active', dimensions === null ? null : use.identity, dimensions);
      }),

    /** One for another model, to be filled beside the active one. Null when the document is gone. */
    async addBuilding(
      tenantId: string,
      documentId: string,
      use: EmbeddingUse,
    ): Promise<KnownGeneration | null> {
      const dimensions = await dimensionsOf(tenantId, documentId, use);
      return dimensions === null ? null : add(tenantId, 'building', use.identity, dimensions);
    },

    /** From here on `next` answers. */
    async switchTo(tenantId: string, next: KnownGeneration, last: KnownGeneration): Promise<void> {
      await store.activate(tenantId, next.number);
      answering.set(tenantId, { ...next, state: 'active' });
      await discard(tenantId, last);
    },
  };
}
