import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import type { EmbeddingHealth } from './embedding-health.ts';
import type { SearchIndex } from './index/search-index.ts';
import type { KnownGeneration } from './index-generations.store.ts';
import { beingMended, type Indexing } from './indexing.ts';
import type { Caller, Embed, EmbeddingModel } from './model-calls.ts';
import { type Asked, parseQuestion } from './passages/question.ts';
import { within } from './patience.ts';
import { bestOf, isEnough, type Proposed, ranked } from './proposals.ts';
import { type Ranked, rankFound, type SearchMode } from './rank-found.ts';

/** A chunk of a document as its reader sees it; `text` is the stored text from `start` to `end`. */
export interface Passage {
  readonly chunkId: string;
  readonly documentId: string;
  readonly title: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly heading: string;
  readonly metadata: Readonly<Record<string, string | number | boolean>>;
}

/** What a search is narrowed to; empty means everything that the caller may read. */
export interface SearchFilters {
  readonly documentIds?: readonly string[] | undefined;
  /** Documents whose metadata has each of these members with this very value. */
  readonly metadata?: Readonly<Record<string, string | number | boolean>> | undefined;
}

export interface FindPassagesDependencies {
  readonly index: Pick<SearchIndex, 'lexical' | 'vector' | 'statistics'>;
  readonly indexing: Pick<Indexing, 'forSearch' | 'repair'>;
  /** The passages of these ids (at most 1,000) that the caller may read now, in one transaction. */
  readonly readPassages: (scope: DatabaseScope, chunkIds: readonly string[]) => Promise<readonly Passage[]>;
  /** Up to `limit` documents that the caller may read and the filters let through, by their ids, after the given one. */
  readonly readableDocuments: (
    scope: DatabaseScope,
    filters: SearchFilters,
    limit: number,
    after?: string,
  ) => Promise<readonly string[]>;
  readonly embed: Embed;
  readonly embeddingModelFor: (principal: Principal) => EmbeddingModel | null;
  readonly embedding: Pick<EmbeddingHealth, 'isPaused' | 'failed'>;
  readonly clock: Clock;
}

export interface SearchQuestion {
  readonly query: string;
  /** Absent: hybrid where there are vectors, else lexical. */
  readonly mode?: SearchMode | undefined;
  readonly filters: SearchFilters;
}

export interface FoundPassages {
  /** The question, with what was read for it. */
  readonly asked: Asked;
  /** Best first, at most 100; of hybrid search 200. */
  readonly passages: readonly Ranked<Passage>[];
  /** What was done, which is less than what was asked for when there are no vectors. */
  readonly mode: SearchMode;
  readonly embeddingTokens: number;
  /** Of embedding the question; null when that model has no price. */
  readonly costNanoUsd: bigint | null;
  readonly warnings: readonly string[];
}

export type FindPassages = (caller: Caller, question: SearchQuestion) => Promise<FoundPassages>;

/** When too few of the proposed passages may be read, twice as many are asked for, up to this many in all. */
const maxProposed = 800;
/** Documents to which the index can be narrowed. */
const maxNarrowedTo = 1_000;
/** How often that is done for a caller who may read thousands of many more: so many thousands are looked through. */
const maxNarrowings = 20;
/** A question that is not embedded by then is searched by its words. */
const embeddingPatienceMs = 5_000;

/**
 * Finds passages for a question: the index proposes, the database disposes. Every passage comes out of one
 * transaction under the caller's rights, the last thing that is read; what the index says of others goes nowhere.
 */
export function createFindPassages(deps: FindPassagesDependencies): FindPassages {
  const { index, indexing, readPassages, readableDocuments, clock } = deps;

  return async (caller, question) => {
    try {
      return await find(caller, question);
    } catch (error) {
      if (error instanceof Switched) return find(caller, question);
      throw error;
    }
  };

  async function find(caller: Caller, question: SearchQuestion): Promise<FoundPassages> {
    const scope = caller.principal;
    const generation = await indexing.forSearch(scope.tenantId);
    const { vector, ...plan } = await planFor(caller, question, generation);
    const narrowed = hasFilters(question.filters)
      ? await readableDocuments(scope, question.filters, maxNarrowedTo + 1)
      : null;
    if (generation === null || narrowed?.length === 0)
      return { ...plan, asked: question.query, passages: [] };
    const target: Target = { generation, mode: plan.mode, vector, question };
    const documentIds = narrowed && narrowed.length <= maxNarrowedTo ? narrowed : undefined;
    const found = (await dispose(scope, target, documentIds)) ?? (await disposeWithinReadable(scope, target));
    const asked = parseQuestion(question.query);
    return { ...plan, asked, passages: rankFound(plan.mode, asked, found) };
  }

  /** Asks for more until enough may be read or there is no more. Null: too few even then. */
  async function dispose(scope: DatabaseScope, target: Target, documentIds: readonly string[] | undefined) {
    for (let limit = ranked; ; limit = Math.min(limit * 2, maxProposed)) {
      const proposed = await propose(scope.tenantId, target, limit, documentIds);
      const found = await readableOf(scope, target, proposed);
      const enough = isEnough(found, proposed, limit);
      if (!enough && limit < mostProposed(target.mode)) continue;
      if (!enough && !documentIds) return null;
      // As many as if nothing but what may be read had been proposed.
      return { lexical: found.lexical.slice(0, ranked), vector: found.vector.slice(0, ranked) };
    }
  }

  /**
   * For a caller who may read little of a large tenant: the index looks among those documents only, a thousand at a time. The
   * best of all of them are what it would have proposed if there were no others.
   */
  async function disposeWithinReadable(scope: DatabaseScope, target: Target) {
    const proposed = await proposeWithinReadable(scope, target, ranked);
    const found = await readableOf(scope, target, proposed);
    if (isEnough(found, proposed, ranked)) return found;
    // Passages of versions that do not answer, or not any more, stood among the best.
    const { lexical, vector } = await readableOf(
      scope,
      target,
      await proposeWithinReadable(scope, target, mostProposed(target.mode)),
    );
    return { lexical: lexical.slice(0, ranked), vector: vector.slice(0, ranked) };
  }

  async function proposeWithinReadable(scope: DatabaseScope, target: Target, limit: number) {
    let best: Proposed = { lexical: [], vector: [] };
    let after: string | undefined;
    for (let narrowing = 0; narrowing < maxNarrowings; narrowing++) {
      const readable = await readableDocuments(scope, target.question.filters, maxNarrowedTo, after);
      if (readable.length === 0) break;
      best = bestOf(best, await propose(scope.tenantId, target, limit, readable), limit);
      after = readable.at(-1);
      if (readable.length < maxNarrowedTo) break;
    }
    return best;
  }

  /** Those that the caller may read now, which is the last thing that is asked. */
  async function readableOf(scope: DatabaseScope, target: Target, { lexical, vector }: Proposed) {
    const chunkIds = [...new Set([...lexical, ...vector].map(({ chunkId }) => chunkId))];
    const readable = await readPassages(scope, chunkIds);
    const passages = new Map(
      readable.filter(fits(target.question.filters)).map((passage) => [passage.chunkId, passage]),
    );
    return {
      lexical: lexical.flatMap(({ chunkId }) => passages.get(chunkId) ?? []),
      vector: vector.flatMap(({ chunkId, score }) => {
        const passage = passages.get(chunkId);
        return passage ? [{ ...passage, similarity: score }] : [];
      }),
    };
  }

  async function propose(
    tenantId: string,
    { generation, mode, vector: wanted, question }: Target,
    limit: number,
    documentIds: readonly string[] | undefined,
  ): Promise<Proposed> {
    const options = { limit, ...(documentIds && { documentIds }) };
    try {
      const [lexical, vector] = await Promise.all([
        mode === 'vector' ? [] : index.lexical(tenantId, generation, question.query, options),
        wanted === null ? [] : index.vector(tenantId, generation, wanted, options),
      ]);
      // An index that is not there proposes nothing, and that must not read as "nothing is known".
      const isThere =
        lexical.length + vector.length > 0 ||
        (await index.statistics(tenantId, generation)).state === 'ready';
      if (isThere) return { lexical, vector };
    } catch (error) {
      if (!isAppError(error, 'dependency_down')) throw error;
      indexing.repair(tenantId);
      throw beingMended(error);
    }
    if ((await indexing.forSearch(tenantId))?.number !== generation.number) throw new Switched();
    indexing.repair(tenantId);
    throw beingMended();
  }

  /** Which search it will be, with the question's vector where it takes one. */
  async function planFor(
    caller: Caller,
    { query, mode = 'hybrid' }: SearchQuestion,
    generation: KnownGeneration | null,
  ): Promise<Plan> {
    if (mode === 'lexical') return byWords();
    const model = deps.embeddingModelFor(caller.principal);
    if (mode === 'vector') requireVectors(model, generation);
    if (!model || generation?.embeddingModel !== model.identity)
      return { ...byWords(), mode: mode === 'vector' ? mode : 'lexical' };
    // A model that just failed is not waited for again by every search.
    if (mode === 'hybrid' && deps.embedding.isPaused(caller.principal.tenantId))
      return byWords([withoutVectors]);
    try {
      return { mode, ...(await embedQuestion(caller, query, model, generation)), warnings: [] };
    } catch (error) {
      if (mode === 'vector' || caller.signal.aborted) throw error;
      deps.embedding.failed(caller.principal.tenantId, error);
      return byWords([withoutVectors]);
    }
  }

  async function embedQuestion(
    caller: Caller,
    query: string,
    model: EmbeddingModel,
    generation: KnownGeneration,
  ): Promise<Pick<Plan, 'vector' | 'embeddingTokens' | 'costNanoUsd'>> {
    const { vectors, usage, costNanoUsd } = await within(
      clock,
      embeddingPatienceMs,
      [caller.signal],
      (signal) => deps.embed({ ...caller, signal }, { model: model.name, inputs: [query] }),
    ).catch((error) => {
      const isLate = isAppError(error, 'client_gone') && !caller.signal.aborted;
      throw isLate ? new AppError('upstream_timeout', 'The embedding model did not answer in time.') : error;
    });
    const [vector] = vectors;
    if (vector?.length !== generation.dimensions) {
      throw new AppError('upstream_failed', 'The embedding model gives other vectors than it did.');
    }
    return { vector: vector ?? null, embeddingTokens: usage.inputTokens, costNanoUsd };
  }
}

const withoutVectors = 'The embedding model did not answer, so passages were searched by their words only.';

function isAppError(error: unknown, code: ErrorCode): error is AppError {
  return error instanceof AppError && error.code === code;
}

interface Plan {
  readonly mode: SearchMode;
  readonly vector: Float32Array | null;
  readonly embeddingTokens: number;
  readonly costNanoUsd: bigint | null;
  readonly warnings: readonly string[];
}

interface Target {
  readonly generation: KnownGeneration;
  readonly mode: SearchMode;
  readonly vector: Float32Array | null;
  readonly question: SearchQuestion;
}

/** A newer generation took over between two looks, and the old one is gone. */
class Switched extends AppError {
  constructor() {
    super('dependency_down', 'The search index was just replaced. Try again.', { retryAfterSeconds: 1 });
  }
}

function byWords(warnings: readonly string[] = []): Plan {
  return { mode: 'lexical', vector: null, embeddingTokens: 0, costNanoUsd: 0n, warnings };
}

/** Both lists together must stay within what the database reads at once. */
function mostProposed(mode: SearchMode): number {
  return mode === 'hybrid' ? maxProposed / 2 : maxProposed;
}

function hasFilters({ documentIds, metadata }: SearchFilters): boolean {
  return documentIds !== undefined || Object.keys(metadata ?? {}).length > 0;
}

function fits({ documentIds, metadata = {} }: SearchFilters): (passage: Passage) => boolean {
  const wanted = Object.entries(metadata);
  const ids = documentIds && new Set(documentIds);
  return (passage) =>
    (ids === undefined || ids.has(passage.documentId)) &&
    wanted.every(([name, value]) => passage.metadata[name] === value);
}

/** @throws AppError when a search by meaning cannot be done, saying what would make it possible. */
function requireVectors(model: EmbeddingModel | null, generation: KnownGeneration | null): void {
  if (!model) {
    throw new AppError(
      'no_model_configured',
      'Vector search needs an embedding model. Add a provider (POST /api/v1/providers) and a route named "embeddings" to one of its embedding models (PUT /api/v1/routes/embeddings), or search with mode "lexical".',
      { errors: [{ path: 'mode', message: 'no embedding model is configured' }] },
    );
  }
  if (generation && generation.embeddingModel !== model.identity) {
    throw new AppError(
      'dependency_down',
      'The vectors of these documents are still being made with the embedding model that the routes name now. Try again shortly, or search with mode "lexical".',
      { retryAfterSeconds: 10 },
    );
  }
}
