import { Counter } from 'prom-client';
import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createAnswerQuestion } from './answer-question.ts';
import type { StoredSlices } from './checked-answer.ts';
import { createDocumentFilterStore } from './document-filter.store.ts';
import { createEmbedTexts } from './embed-texts.ts';
import { createEmbeddingHealth } from './embedding-health.ts';
import { createFindPassages, type Passage } from './find-passages.ts';
import { createGenerations } from './generations.ts';
import type { SearchIndex } from './index/search-index.ts';
import { createIndexGenerationsStore } from './index-generations.store.ts';
import type { IndexSource } from './index-source.ts';
import { createIndexUpkeep } from './index-upkeep.ts';
import { createIndexWriter } from './index-writer.ts';
import { createIndexing } from './indexing.ts';
import type { OpenKnownAnswer } from './known-answers.ts';
import type { Chat, Embed, EmbeddingModel } from './model-calls.ts';
import { createVectorUpkeep } from './vector-upkeep.ts';

export interface RetrievalDependencies {
  readonly database: Database;
  /** The data directory whose index this is; absent: the only one there is. */
  readonly place?: string;
  /** Called with a tenant whenever something of its documents changed, at any instance. */
  readonly onDocumentsChanged?: (listener: (tenantId: string) => void) => void;
  /** Started by its first use; stopped here. */
  readonly index: SearchIndex;
  readonly source: IndexSource;
  readonly readPassages: (scope: DatabaseScope, chunkIds: readonly string[]) => Promise<readonly Passage[]>;
  readonly storedSlices: StoredSlices;
  readonly chat: Chat;
  readonly embed: Embed;
  readonly answerModelFor: (principal: Principal) => string | null;
  /** Answers that were given before; absent: every answer is made. */
  readonly openKnownAnswer?: OpenKnownAnswer;
  readonly embeddingModelFor: (principal: Principal) => EmbeddingModel | null;
  /** The platform acting in a tenant, for indexing; undefined when the tenant is gone. */
  readonly principalOf: (tenantId: string) => Principal | undefined;
  readonly estimateTokens: (text: string) => number;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  readonly metrics: Metrics;
}

export type Retrieval = ReturnType<typeof createRetrieval>;

/** Search and answers, and the keeping of the index that they rest on. */
export function createRetrieval(deps: RetrievalDependencies) {
  const { database, index, source, clock, newId, log } = deps;
  const store = createIndexGenerationsStore(database, deps.place);
  const documents = createDocumentFilterStore(database);
  const answers = new Counter({
    name: 'knowledge_answers_total',
    help: 'Questions answered, by the tier that answered and whether the sources covered them',
    labelNames: ['tier', 'covered'],
    registers: [deps.metrics],
  });

  const embedTexts = createEmbedTexts(deps.embed);
  const embedding = createEmbeddingHealth(deps);
  const generations = createGenerations({ index, source, store, embedTexts, embedding, clock });
  const writer = createIndexWriter({ index, source, store, embedTexts });
  const upkeep = createIndexUpkeep({
    index,
    source,
    writer,
    generations,
    embedding,
    recentDocuments: documents.recent,
    clock,
    log,
  });
  const vectors = createVectorUpkeep({
    index,
    source,
    store,
    writer,
    generations,
    upkeep,
    embedTexts,
    embedding,
    newId,
    log,
  });
  const indexing = createIndexing({
    index,
    source,
    store,
    generations,
    upkeep,
    vectors,
    embedding,
    clock,
    log,
  });

  deps.onDocumentsChanged?.(indexing.changed);

  const findPassages = createFindPassages({
    ...deps,
    indexing,
    embedding,
    readableDocuments: documents.readable,
  });
  const answerQuestion = createAnswerQuestion({
    ...deps,
    findPassages,
    record: ({ correlationId, principal }, { generatedBy, covered, confidence }) => {
      answers.inc({ tier: generatedBy.tier, covered: String(covered) });
      log.info(
        { correlation_id: correlationId, tenant: principal.tenantId, ...generatedBy, covered, confidence },
        'question answered',
      );
    },
  });

  return {
    findPassages,
    answerQuestion,
    indexNow: indexing.indexNow,
    indexedPassages: indexing.indexedPassages,
    /** Begins the care for the indexes in the background; after the database and routes are there. */
    start: (): void => indexing.start(),
    /** After the requests and jobs that use it, before the database. */
    async stop(): Promise<void> {
      await indexing.stop();
      await index.stop();
    },
    /** Resolves when no index work is under way. */
    idle: () => indexing.idle(),
  };
}
