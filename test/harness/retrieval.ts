import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessRoutes, type Principal, platformPrincipal, type Role, roles } from '../../src/access/index.ts';
import type { AnswerStore } from '../../src/cache/index.ts';
import { createCosts, createLedgerStore, createPriceCatalogue } from '../../src/costs/index.ts';
import { createGateway, type Step, wayTo } from '../../src/gateway/index.ts';
import { createHttp, type HttpServer, problemOf, streamError } from '../../src/http/index.ts';
import { createKnowledge, documentRoutes, type Knowledge } from '../../src/knowledge/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createJobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { createFileObjects } from '../../src/platform/objects.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import {
  cachedAnswersOfDocument,
  createKnownAnswers,
  createLanceDbIndex,
  createRetrieval,
  embeddingModelFrom,
  type Retrieval,
  retrievalRoutes,
  type SearchIndex,
} from '../../src/retrieval/index.ts';
import {
  createRouting,
  createRoutingStore,
  createTargetHealth,
  routingRoutes,
} from '../../src/routing/index.ts';
import { createTestAccess, keyIn } from './access-instance.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { openDoors, openEntrance } from './open-doors.ts';
import { type Request, requestsTo } from './requests.ts';

export interface RetrievalServer {
  readonly http: HttpServer;
  readonly retrieval: Retrieval;
  readonly knowledge: Knowledge;
  readonly index: SearchIndex;
  readonly test: TestDatabase;
  /** Writes what the ledger still has to be told. */
  readonly flushLedger: () => Promise<void>;
  /** What a restart finds again. */
  readonly dataDir: string;
  readonly indexDir: string;
  keyIn(slug: string, role: Role, groups?: string[]): Promise<string>;
  tenantId(slug: string): string;
  principalIn(slug: string): Principal;
  readonly request: Request;
  /** Adds a document and waits until it can be found. @returns its id. */
  add(key: string, title: string, text: string, more?: object): Promise<string>;
  /** Closes everything but the database and the files. */
  close(): Promise<void>;
  /** Closes everything and removes it. */
  stop(): Promise<void>;
}

/** Documents, search and answers behind the real HTTP server, on real PostgreSQL and LanceDB, with durable jobs. */
export async function startRetrievalServer(
  options: {
    test?: TestDatabase;
    dataDir?: string;
    /** A provider `sim` at this address; with it, routes can be put. */
    providerUrl?: string;
    /** Keeps answers; the test starts and stops it. */
    cache?: AnswerStore;
    /** Comes between retrieval and the index. */
    wrapIndex?: (index: SearchIndex) => SearchIndex;
    /** Comes between retrieval and the database. */
    wrapKnowledge?: (knowledge: Knowledge) => Pick<Knowledge, 'passages'>;
    /** Told of each step of each model call. */
    onStep?: (step: Step) => void;
  } = {},
): Promise<RetrievalServer> {
  const clock = systemClock;
  const newId = createIds(clock, systemRandom);
  const log = createLog(process.env.TEST_LOG_LEVEL ?? 'silent');
  const metrics = createMetrics();
  const test = options.test ?? (await createTestDatabase());
  const { database } = test;
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'gatehouse-retrieval-')));
  const access = createTestAccess(test);
  const costs = createCosts({
    store: createLedgerStore(database),
    catalogue: createPriceCatalogue(),
    clock,
    newId,
    metrics,
    log,
    dataDir,
  });
  const { providerUrl: baseUrl } = options;
  const targetHealth = createTargetHealth({
    clock,
    random: systemRandom,
    log,
    metrics,
    // A test that mends its provider does not wait for a minute until it is asked again.
    rules: { openMs: 500 },
  });
  const routing = createRouting({
    store: createRoutingStore(database),
    secretBox: createSecretBox(Buffer.alloc(32, 1), systemRandom),
    clock,
    newId,
    random: systemRandom,
    log,
    knowledge: { latencyMs: targetHealth.latencyMs, estimate: costs.estimate },
    environmentProviders: baseUrl
      ? [{ name: 'sim', kind: 'openai', baseUrl, apiKey: 'sk-test-upstream' }]
      : [],
    subscribe: () => {},
  });
  const gateway = createGateway({
    routing,
    health: targetHealth,
    costs,
    reservations: openDoors(),
    clock,
    newId,
    random: systemRandom,
    metrics,
    describeError: streamError,
    onStep: (step) => options.onStep?.(step),
  });
  const indexDir = join(dataDir, 'index');
  const lance = createLanceDbIndex({ uri: indexDir, clock, onOptimiseFailure: () => {} });
  const index = options.wrapIndex?.(lance) ?? lance;
  const jobs = createJobs({ url: test.url, executorId: 'gatehouse', clock, log });
  const knowledge: Knowledge = createKnowledge({
    knowsRole: (_tenantId, role) => (roles as readonly string[]).includes(role),
    database,
    objects: createFileObjects(join(dataDir, 'objects'), newId),
    jobs,
    parse: async ({ path }) => ({
      text: await readFile(path, 'utf8'),
      contentType: 'text/plain',
      warnings: [],
    }),
    indexNow: (tenantId) => retrieval.indexNow(tenantId),
    indexHolds: (tenantId, documentId) => retrieval.indexedPassages(tenantId, documentId),
    derivedPlaces: options.cache ? [cachedAnswersOfDocument(options.cache)] : [],
    clock,
    newId,
    log,
    metrics,
  });
  const { passages } = options.wrapKnowledge?.(knowledge) ?? knowledge;
  const retrieval: Retrieval = createRetrieval({
    database,
    index,
    source: knowledge.indexFeed,
    readPassages: passages.readPassages,
    storedSlices: passages.storedSlices,
    chat: gateway.models.chat,
    embed: gateway.models.embed,
    answerModelFor: routing.answerModelFor,
    ...(options.cache
      ? {
          openKnownAnswer: createKnownAnswers({
            store: options.cache,
            knowledgeVersion: knowledge.knowledgeVersion,
            modelVersion: routing.versionOf,
            nowMs: () => clock.now().getTime(),
          }),
        }
      : {}),
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
    estimateTokens: (text) => Math.ceil(text.length / 4),
    clock,
    newId,
    log,
    metrics,
  });
  const http = await createHttp({
    limits: openEntrance(),
    access,
    clock,
    newId,
    log,
    metrics,
    version: 'test',
    platformRoutes: [
      accessRoutes(access, 'eu'),
      documentRoutes(knowledge.documents),
      routingRoutes(routing, { health: targetHealth, wayTo }),
      ...retrievalRoutes(retrieval, { clock, problemOf }),
    ],
    modelRoutes: [],
    rootRoutes: [],
  });
  await access.start();
  await routing.start();
  costs.start();
  gateway.start();
  retrieval.start();
  await jobs.start();
  knowledge.start();

  const tenant = (slug: string) => {
    const found = access.tenant(slug);
    if (!found) throw new Error(`no tenant ${slug}`);
    return found;
  };
  const request = requestsTo(http);
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= (async () => {
      await http.stop(1_000);
      await knowledge.stop();
      await jobs.stop(10_000);
      await retrieval.stop();
      await gateway.stop();
      await costs.stop();
      await access.stop();
    })();
    return closing;
  };

  return {
    http,
    retrieval,
    knowledge,
    index,
    test,
    flushLedger: async () => {
      await costs.flush();
    },
    dataDir,
    indexDir,
    tenantId: (slug) => tenant(slug).id,
    principalIn: (slug) => platformPrincipal(tenant(slug)),
    keyIn: (slug, role, groups) => keyIn(access, slug, role, groups),
    request,
    async add(key, title, text, more = {}) {
      const reply = await request(key, 'POST', '/documents?wait=true', { title, text, ...more });
      if (reply.status !== 201) throw new Error(`${reply.status}: ${reply.text}`);
      return reply.json.id;
    },
    close,
    async stop() {
      await close();
      await test.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
