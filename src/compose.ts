import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Counter } from 'prom-client';
import {
  type Access,
  accessRoutes,
  createAccess,
  createAccessStore,
  createPeople,
  createTokens,
  keySetRoutes,
  peopleRoutes,
  platformPrincipal,
  roleRoutes,
  sealedPeopleColumns,
  sealedTokenKeys,
  tokenRoutes,
} from './access/index.ts';

import {
  auditRoutes,
  createAudit,
  createAuditForwarding,
  createAuditStore,
  createSequencer,
  createSequencerStore,
  forwardingRoutes,
  platformLog,
  sealedAuditDestinations,
  sealedAuditKeys,
} from './audit/index.ts';
import { cacheRoutes, createAnswerStore, createModelAnswers, createRedisLevel } from './cache/index.ts';
import {
  budgetsRoutes,
  costsRoutes,
  createBilling,
  createBudgets,
  createBudgetsStore,
  createCostReports,
  createCosts,
  createLedgerStore,
  createPriceCatalogue,
  estimateTokens,
  ledgerV2Routes,
} from './costs/index.ts';
import { type Caller, createGateway, wayTo } from './gateway/index.ts';
import {
  createAuditTrail,
  createHttp,
  createIdempotency,
  createIdempotencyStore,
  createOverload,
  type HttpServer,
  overloadThresholds,
  problemOf,
  streamError,
} from './http/index.ts';
import {
  createKnowledge,
  createMasking,
  createMaskingStore,
  createParser,
  type Documents,
  documentRoutes,
  maskingRoutes,
} from './knowledge/index.ts';
import {
  createLimits,
  createLimitsStore,
  createMemoryCounters,
  createRedisCounters,
  createViolationCount,
  limitsRoutes,
  rateLimitsRoutes,
} from './limits/index.ts';
import {
  createAddressGuard,
  createGuardedPost,
  createNotifier,
  newSigningSecret,
  notificationRoutes,
  sealedNotificationColumns,
  signedHeaders,
} from './notifications/index.ts';
import {
  createHealth,
  createHealthHistory,
  dependencyChecks,
  healthDetailRoutes,
  healthRoutes,
} from './observability/index.ts';
import { type Clock, systemClock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import { createDatabase } from './platform/database/database.ts';
import { createNotifications } from './platform/database/notifications.ts';
import { AppError } from './platform/errors.ts';
import { createIds } from './platform/ids.ts';
import { createInstances, type Instances } from './platform/instances.ts';
import { createJobs } from './platform/jobs/index.ts';
import {
  createKeyring,
  createKeyringParts,
  type Keyring,
  keyringRoutes,
  type MasterKeys,
} from './platform/keyring/index.ts';
import type { Log } from './platform/log.ts';
import { createMetrics } from './platform/metrics.ts';
import { createFileObjects, createTwoStores } from './platform/objects.ts';
import { placeOf } from './platform/place.ts';
import { type Random, systemRandom } from './platform/random.ts';
import { createRedis } from './platform/redis.ts';
import { createRequestContext } from './platform/request-context.ts';
import { createS3Objects } from './platform/s3-objects.ts';
import type { Secrets } from './platform/secret-box.ts';
import { createPlatformSettings, type PlatformSettings } from './platform/settings.ts';
import {
  cachedAnswersOfDocument,
  createKnownAnswers,
  createLanceDbIndex,
  createRetrieval,
  embeddingModelFrom,
  retrievalRoutes,
} from './retrieval/index.ts';
import {
  createRedisHealthShare,
  createRouting,
  createRoutingStore,
  createTargetHealth,
  providerHealthRoutes,
  routingRoutes,
  sealedProviderKeys,
} from './routing/index.ts';

/** What must stand before anything can be built; `cli/foundation.ts` provides it. */
export interface Foundation {
  /** The owner role's connection string. */
  readonly databaseUrl: string;
  readonly masterKeys: MasterKeys;
  /** Absolute; locked for this process. */
  readonly dataDirectory: string;
}

export interface Gatehouse {
  readonly http: HttpServer;
  readonly access: Access;
  readonly documents: Documents;
  readonly settings: PlatformSettings;
  /** Whether this is the one that does what one of several instances has to do. */
  isEldest(): boolean;
  readonly keyring: Pick<Keyring, 'check'>;
  start(): Promise<void>;
  /** Readiness is 503 from now on. */
  drain(): void;
  stop(): Promise<void>;
}

/** Files read at once: parsing is the heaviest work there is, and requests share the cores with it. */
const parserWorkers = 2;
/** A batch of the audit log is larger than a notification. */
const forwardingTimeouts = { connectMs: 3_000, totalMs: 20_000 } as const;
/** How long running jobs may take to reach the end of a step; what is left goes on at the next start. */
const jobsStopTimeoutMs = 10_000;

/** Builds everything once and wires it. Nothing acts until `start`. */
export async function compose(
  config: Config,
  foundation: Foundation,
  log: Log,
  version: string,
  clock: Clock = systemClock,
  random: Random = systemRandom,
): Promise<Gatehouse> {
  // Platform
  const newId = createIds(clock, random);
  /** This process, wherever several have to be told apart. */
  const instanceId = newId();
  const metrics = createMetrics();
  const context = createRequestContext();
  const database = createDatabase({
    url: foundation.databaseUrl,
    pool: config.databasePool,
    statementTimeoutMs: config.statementTimeoutMs,
    context,
    log,
    nowMs: clock.monotonicMs,
  });
  const notifications = createNotifications(foundation.databaseUrl, clock, log);
  const s3 =
    config.s3 === null
      ? null
      : createS3Objects(config.s3, join(foundation.dataDirectory, 's3-drafts'), newId);
  const objects = createTwoStores(createFileObjects(join(foundation.dataDirectory, 'objects'), newId), s3);
  const redis =
    config.redisUrl === null
      ? null
      : createRedis({ url: config.redisUrl, timeoutMs: config.redisTimeoutMs, clock, log });
  const place = placeOf(foundation.dataDirectory, newId);
  const instances = createInstances({
    url: foundation.databaseUrl,
    id: instanceId,
    place,
    version,
    address: config.publicUrl,
    redis,
    clock,
    log,
  });
  const jobs = createJobs({
    url: foundation.databaseUrl,
    executorId: instanceId,
    living: instances.live,
    place,
    clock,
    log,
  });
  const counter = (name: string, help: string) => new Counter({ name, help, registers: [metrics] });

  // Keys of stored secrets, and secrets that are kept elsewhere
  const { references, ...keyringParts } = createKeyringParts({
    config: config.secrets,
    masterKeys: foundation.masterKeys,
    database,
    clock,
    random,
    log,
  });
  const keyring = createKeyring({
    ...keyringParts,
    columns: [
      sealedProviderKeys(database),
      ...sealedNotificationColumns(database),
      ...sealedPeopleColumns(database),
      sealedAuditKeys(database),
      sealedAuditDestinations(database),
      sealedTokenKeys(database),
    ],
    instanceId,
    live: instances.live,
    isEldest: () => (instances.rows()[0]?.id ?? instanceId) === instanceId,
    newId,
  });
  /** By itself: a data key that is made for sealing must not be undone with the request that needed it. */
  const secretBox: Secrets = {
    seal: (...given) => database.apart(() => keyring.secrets.seal(...given)),
    open: (...given) => database.apart(() => keyring.secrets.open(...given)),
  };

  // Audit: what changes is told by the database itself, in the transaction that changes it
  const sequencer = createSequencer({
    store: createSequencerStore(database),
    secretBox,
    clock,
    log,
    retentionDays: config.auditDays,
  });
  const audit = createAudit({ store: createAuditStore(database), sequencer, clock });
  const addressGuard = createAddressGuard(config.notifications.allowedAddresses);
  const auditForwarding = createAuditForwarding({
    database,
    secretBox,
    clock,
    newId,
    random,
    metrics,
    log,
    host: hostname(),
    openBucket: (place) => createS3Objects(place, join(foundation.dataDirectory, 's3-drafts'), newId),
    post: createGuardedPost({
      guard: addressGuard,
      clock,
      timeouts: forwardingTimeouts,
      userAgent: `Gatehouse/${version}`,
    }),
    signed: signedHeaders,
    objectionTo: addressGuard.objectionTo,
    newSigningSecret: () => newSigningSecret(random),
  });

  // Access
  const failedAuthentication = counter(
    'failed_auth_total',
    'Requests refused for want of a valid credential',
  );
  const crossTenant = counter(
    'cross_tenant_attempts_total',
    "Requests that named another tenant than their key's",
  );
  const access = createAccess({
    store: createAccessStore(database),
    clock,
    newId,
    random,
    log,
    countFailedAuthentication: () => failedAuthentication.inc(),
    countCrossTenantAttempt: () => crossTenant.inc(),
    authenticateToken: (token) => tokens.authenticate(token),
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });
  const tokens = createTokens(
    {
      database,
      secrets: secretBox,
      clock,
      newId,
      random,
      log,
      parties: tokenParties(config.publicUrl),
      subscribe: (onChange, onGap) => notifications.subscribe('tokens_changed', onChange, onGap),
    },
    {
      ...access,
      authenticateKey: (key) => access.authenticate(key, undefined),
      checkPassword: async ({ network, ...given }) => ({
        userId: (await people.passwordSignIn.checkAll(given, network)).id,
      }),
      countFailedAuthentication: () => failedAuthentication.inc(),
    },
  );

  const people = createPeople({
    database,
    access,
    secretBox,
    note: (tenantId, action, userId, details) =>
      database.apart(() =>
        audit.note(
          { tenantId: tenantId ?? platformLog.tenantId, readerTokens: [] },
          {
            action,
            targetType: 'user',
            targetId: userId,
            outcome: action === 'sign_in.refused' ? 'denied' : 'done',
            details,
          },
        ),
      ),
    countFailedAuthentication: () => failedAuthentication.inc(),
    subscribe: (onChange, onGap) => notifications.subscribe('sessions_changed', onChange, onGap),
    issuerAddresses: createAddressGuard(config.notifications.allowedAddresses),
    publicUrl: config.publicUrl,
    clock,
    newId,
    random,
    log,
  });

  /** By itself: rows that were taken off the spool must not be undone with the request that waited for them. */
  const flushLedger = () => database.apart(() => costs.flush());

  // Notifications
  const notifier = createNotifier({
    database,
    secretBox,
    clock,
    newId,
    random,
    metrics,
    log,
    version,
    publicUrl: config.publicUrl,
    ...config.notifications,
    subscribe: (channel, onChange, onGap) => notifications.subscribe(channel, onChange, onGap),
  });

  // The model path
  const billing = createBilling({
    database,
    jobs,
    catalogue: createPriceCatalogue(),
    clock,
    newId,
    log,
    subscribe: (onChange, onGap) => notifications.subscribe('prices_changed', onChange, onGap),
    addressOf: (tenantId, provider) => routing.addressOf(tenantId, provider),
    tenantsWithOwn: (provider) => routing.tenantsWithOwn(provider),
    flush: flushLedger,
    fontFile: join(foundation.dataDirectory, 'fonts', 'invoice.ttf'),
  });
  const costs = createCosts({
    store: createLedgerStore(database),
    catalogue: billing.prices,
    clock,
    newId,
    metrics,
    log,
    dataDir: foundation.dataDirectory,
    writerId: instanceId,
    recorded: (row) => budgets.recorded(row),
  });
  const costReports = createCostReports({
    database,
    notify: notifier.notify,
    clock,
    newId,
    log,
    flush: flushLedger,
  });
  const limits = createLimits({
    store: createLimitsStore(database),
    access,
    config: config.limits,
    clock,
    newId,
    log,
    countRefusal: createViolationCount(metrics),
    subscribe: (onChange, onGap) => notifications.subscribe('limits_changed', onChange, onGap),
  });
  const ownCounters = createMemoryCounters({ clock, writer: instanceId });
  const sharedCounters =
    redis === null
      ? null
      : createRedisCounters({
          redis,
          writer: instanceId,
          local: ownCounters,
          clock,
          log,
          metrics,
          instances: instances.count,
          policy: config.limits.redisDown,
        });
  const counters = sharedCounters ?? ownCounters;
  const budgets = createBudgets({
    store: createBudgetsStore(database),
    spent: costReports.spent,
    counters,
    costs,
    tenant: access.tenant,
    writerId: instanceId,
    liveWriters: instances.live,
    dataDir: foundation.dataDirectory,
    subscribe: notifications.subscribe,
    ...(sharedCounters === null ? {} : { onWanted: sharedCounters.onWanted }),
    clock,
    newId,
    log,
  });
  const targetHealth = createTargetHealth({
    clock,
    random,
    log,
    metrics,
    ...(redis === null ? {} : { share: createRedisHealthShare({ redis, instanceId, log }) }),
  });
  const routing = createRouting({
    store: createRoutingStore(database),
    secretBox,
    references,
    clock,
    newId,
    random,
    log,
    knowledge: { latencyMs: targetHealth.latencyMs, estimate: costs.estimate },
    environmentProviders: config.environmentProviders,
    subscribe: (onChange, onGap) => notifications.subscribe('routing_changed', onChange, onGap),
  });
  const reopenKeys = () => void routing.reopen();
  keyring.onChange(reopenKeys);
  references.onChange(reopenKeys);
  const cache = createAnswerStore({
    clock,
    random,
    metrics,
    ...config.cache,
    shared:
      redis === null
        ? undefined
        : (memory, { redisFailure }) =>
            createRedisLevel({
              redis,
              memory,
              clock,
              newId,
              log,
              maxBytesPerTenant: config.cache.maxRedisBytesPerTenant,
              onFailure: redisFailure,
            }),
  });
  /** What a question means, for the semantic cache; on the tenant's behalf where the caller's key may only call models. */
  const embedQuestion = async (caller: Caller, text: string) => {
    const { principal } = caller;
    const model = routing.embeddingModelFor(principal);
    if (model === null) return null;
    const acting = principal.permissions.has('queries:run') ? principal : platformPrincipal(principal.tenant);
    const { correlationId, traceparent } = caller;
    const embeddingAs = { principal: acting, correlationId, traceparent };
    const embedded = await gateway.models.embed(embeddingAs, { model, inputs: [text] });
    const [vector] = embedded.vectors;
    return vector ? { vector, model: embedded.model } : null;
  };
  const gateway = createGateway({
    routing,
    health: targetHealth,
    costs,
    clock,
    newId,
    random,
    metrics,
    describeError: streamError,
    reservations: {
      limits: limits.gate,
      counters,
      budgets: budgets.gate,
      outputSizes: budgets.outputSizes,
    },
    hooks: { cache: createModelAnswers({ store: cache, clock, embed: embedQuestion }) },
  });

  // Knowledge and answers. Each needs a little of the other: documents tell the index, the index reads documents.
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
    derivedPlaces: [cachedAnswersOfDocument(cache)],
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

  const health = createHealth({
    checks: dependencyChecks({
      database,
      redis,
      dataDirectory: foundation.dataDirectory,
      canRecordUsage: costs.canRecord,
      instances,
    }),
    history: createHealthHistory(database),
    clock,
    log,
  });

  const idempotency = createIdempotency({
    store: createIdempotencyStore(database),
    database,
    seal: (text, tenantId) => secretBox.seal(text, 'idempotency', tenantId),
    open: (sealed, tenantId) => secretBox.open(sealed, 'idempotency', tenantId),
    instanceId,
    living: instances.live,
    clock,
    log,
  });
  const overload = createOverload({
    thresholds: { ...overloadThresholds, delayMs: config.http.shedDelayMs },
    clock,
    metrics,
  });
  const http = await createHttp({
    access: {
      authenticate: whileServing(instances, access.authenticate),
      authenticateSession: whileServing(instances, people.authenticateSession),
    },
    limits: { gate: limits.gate, counters, weightOf: limits.weightOf },
    trustedProxies: config.trustedProxies,
    corsOrigins: config.http.corsOrigins,
    ...(config.http.tls === null ? {} : { tls: config.http.tls }),
    behindTls: config.publicUrl?.startsWith('https:') ?? false,
    connections: { connections: config.http.maxConnections },
    overload,
    clock,
    newId,
    log,
    metrics,
    version,
    noteReading: (principal, reading) =>
      audit.note(principal, { ...reading, action: 'data.read', outcome: 'done' }),
    auditTrail: createAuditTrail({
      context,
      noteRefusal: (refusal) => database.apart(() => audit.noteRefusal(refusal)),
      clock,
      log,
    }),
    idempotency,
    rootRoutes: [healthRoutes(health, metrics), keySetRoutes(tokens)],
    modelRoutes: [gateway.routes],
    platformRoutes: [
      accessRoutes(access, config.region),
      tokenRoutes(tokens),
      peopleRoutes(people),
      roleRoutes(access.roles),
      maskingRoutes(createMasking({ store: createMaskingStore(database), clock })),
      limitsRoutes(limits),
      rateLimitsRoutes({ limits, counters, clock }),
      notificationRoutes(notifier),
      providerHealthRoutes({ ...routing, health: targetHealth }),
      routingRoutes(routing, { health: targetHealth, wayTo }),
      costsRoutes(costs),
      ...costReports.routes,
      ...billing.routes,
      budgetsRoutes(budgets.service),
      cacheRoutes(cache),
      documentRoutes(knowledge.documents),
      ...retrievalRoutes(retrieval, { clock, problemOf }),
      auditRoutes(audit),
      forwardingRoutes(auditForwarding),
      keyringRoutes(keyring),
      healthDetailRoutes(health, version),
    ],
    versionRoutes: { 2: [ledgerV2Routes(costs)] },
  });

  return {
    http,
    access,
    documents: knowledge.documents,
    settings: createPlatformSettings(database),
    isEldest: () => (instances.rows()[0]?.id ?? instanceId) === instanceId,
    keyring,
    async start() {
      await redis?.start();
      await sharedCounters?.start();
      // Before anything is touched that another instance may be at work on.
      await instances.start();
      await keyring.start();
      references.start();
      await objects.clean();
      if ((await knowledge.takePlace()) === 'new') await rm(indexDirectory, { recursive: true, force: true });
      sequencer.start();
      auditForwarding.start();
      await access.start();
      await people.start();
      await limits.start();
      await routing.start();
      await billing.start();
      await notifications.start();
      // What is revoked from here on is heard of.
      await tokens.start();
      notifier.start();
      costs.start();
      costReports.start();
      await budgets.start();
      cache.start();
      gateway.start();
      retrieval.start();
      await jobs.start();
      knowledge.start();
      idempotency.start();
      overload.start();
      health.start();
    },
    drain: () => health.drain(),
    // What takes requests stops first, what they need last.
    async stop() {
      health.drain();
      await http.stop(config.shutdownMs, gateway.endReplies);
      await idempotency.stop();
      await overload.stop();
      await knowledge.stop();
      await jobs.stop(jobsStopTimeoutMs);
      await parser.stop();
      await retrieval.stop();
      await gateway.stop();
      await cache.stop();
      await budgets.stop();
      await billing.stop();
      await costReports.stop();
      await costs.stop();
      await health.stop();
      await auditForwarding.stop();
      await sequencer.stop();
      await notifier.stop();
      await people.stop();
      await tokens.stop();
      await access.stop();
      await notifications.stop();
      await references.stop();
      await keyring.stop();
      await instances.stop();
      await sharedCounters?.stop();
      await redis?.stop();
      s3?.stop();
      await database.stop();
    },
  };
}

/** Tokens name who made them and whom they are for: this installation, by the address that all instances share. */
function tokenParties(publicUrl: string | null) {
  const name = publicUrl === null ? 'gatehouse' : publicUrl.replace(/\/$/, '');
  return { issuer: name, audience: name };
}

/** An instance that may not serve beside another one takes no calls. */
function whileServing<Given extends unknown[], Caller>(
  instances: Instances,
  authenticate: (...given: Given) => Caller,
): (...given: Given) => Caller {
  return (...given) => {
    const problem = instances.problem();
    if (problem !== null) throw new AppError('dependency_down', problem, { retryAfterSeconds: 1 });
    return authenticate(...given);
  };
}
