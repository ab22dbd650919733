import { join } from 'node:path';
import { platformPrincipal } from '../access/index.ts';
import { estimateTokens } from '../costs/index.ts';
import { createIdempotencyStore, repliesAboutDocuments } from '../http/index.ts';
import { createKnowledge, createParser } from '../knowledge/index.ts';
import {
  cachedAnswersOfDocument,
  createKnownAnswers,
  createLanceDbIndex,
  createRetrieval,
  embeddingModelFrom,
} from '../retrieval/index.ts';
import type { AccessSection } from './access.ts';
import type { GatewaySection } from './gateway.ts';
import type { Platform } from './platform.ts';

/** Files read at once: parsing is the heaviest work there is, and requests share the cores with it. */
const parserWorkers = 2;

export type KnowledgeSection = ReturnType<typeof composeKnowledge>;

/** Knowledge and answers. Each needs a little of the other: documents tell the index, the index reads documents. */
export function composeKnowledge(platform: Platform, around: AccessSection & GatewaySection) {
  const { access, cache, routing, gateway } = around;
  const { foundation, database, notifications, objects, jobs, place, instances, s3 } = platform;
  const { clock, newId, log, metrics } = platform;
  const indexDirectory = join(foundation.dataDirectory, 'index');
  const index = createLanceDbIndex({
    uri: indexDirectory,
    clock,
    onOptimiseFailure: (tenant, err) => log.warn({ err, tenant }, 'the search index was not optimised'),
  });
  const parser = createParser({ maxWorkers: parserWorkers, log, clock });
  const knowledge = createKnowledge({
    database,
    knowsRole: (tenantId, role) => access.role(tenantId, role) !== undefined,
    place: {
      own: place,
      others: () =>
        instances
          .rows()
          .map((row) => row.place)
          .filter((other) => other !== place),
      sharedFiles: s3 !== null,
    },
    objects,
    jobs,
    parse: parser.parse,
    indexNow: (tenantId) => database.apart(() => retrieval.indexNow(tenantId)),
    indexHolds: (tenantId, documentId) => retrieval.indexedPassages(tenantId, documentId),
    derivedPlaces: [
      cachedAnswersOfDocument(cache),
      repliesAboutDocuments(createIdempotencyStore(database), clock),
    ],
    clock,
    newId,
    log,
    metrics,
  });
  const retrieval = createRetrieval({
    database,
    place,
    onDocumentsChanged: (listener) => notifications.subscribe('index_changed', listener, () => {}),
    index,
    source: knowledge.indexFeed,
    readPassages: knowledge.passages.readPassages,
    storedSlices: knowledge.passages.storedSlices,
    chat: gateway.models.chat,
    embed: gateway.models.embed,
    answerModelFor: routing.answerModelFor,
    openKnownAnswer: createKnownAnswers({
      store: cache,
      knowledgeVersion: knowledge.knowledgeVersion,
      modelVersion: routing.versionOf,
      nowMs: () => clock.now().getTime(),
    }),
    embeddingModelFor: (principal) =>
      embeddingModelFrom(routing.embeddingModelFor(principal), (route) =>
        routing
          .resolve(principal, route)
          .tiers.flat()
          .map(({ provider, model }) => ({ provider: provider.name, model })),
      ),
    principalOf: (tenantId) => {
      const tenant = access.tenant(tenantId);
      return tenant && platformPrincipal(tenant);
    },
    estimateTokens,
    clock,
    newId,
    log,
    metrics,
  });
  return { indexDirectory, parser, knowledge, retrieval };
}
