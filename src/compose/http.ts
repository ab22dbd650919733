import { createHash } from 'node:crypto';
import { accessRoutes, keySetRoutes, peopleRoutes, roleRoutes, tokenRoutes } from '../access/index.ts';
import { auditRoutes, forwardingRoutes } from '../audit/index.ts';
import { cacheRoutes } from '../cache/index.ts';
import { budgetsRoutes, costsRoutes, ledgerV2Routes } from '../costs/index.ts';
import { wayTo } from '../gateway/index.ts';
import {
  createAuditTrail,
  createHttp,
  createIdempotency,
  createIdempotencyStore,
  createOverload,
  overloadThresholds,
  problemOf,
} from '../http/index.ts';
import { createMasking, createMaskingStore, documentRoutes, maskingRoutes } from '../knowledge/index.ts';
import { limitsRoutes, rateLimitsRoutes } from '../limits/index.ts';
import { type Notifier, notificationRoutes } from '../notifications/index.ts';
import {
  createHealth,
  createHealthHistory,
  dependencyChecks,
  healthDetailRoutes,
  healthRoutes,
} from '../observability/index.ts';
import type { Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import type { Instances } from '../platform/instances.ts';
import { keyringRoutes } from '../platform/keyring/index.ts';
import { retrievalRoutes } from '../retrieval/index.ts';
import { providerHealthRoutes, routingRoutes } from '../routing/index.ts';
import type { AccessSection } from './access.ts';
import type { AuditSection } from './audit.ts';
import type { GatewaySection } from './gateway.ts';
import type { KnowledgeSection } from './knowledge.ts';
import type { LimitsSection } from './limits.ts';
import type { MoneySection } from './money.ts';
import type { Platform } from './platform.ts';
import type { SecretsSection } from './secrets.ts';

interface Sections {
  readonly secrets: SecretsSection;
  readonly auditing: AuditSection;
  readonly callers: AccessSection;
  readonly notifier: Notifier;
  readonly limiting: LimitsSection;
  readonly money: MoneySection;
  readonly models: GatewaySection;
  readonly answers: KnowledgeSection;
}

/** The server, what surrounds each request, and every capability's routes. */
export async function composeHttp(platform: Platform, sections: Sections) {
  const { config, context, database, instances, clock, newId, log, metrics, version } = platform;
  const { callers, auditing, limiting, models } = sections;
  const health = composeHealth(platform, sections.money);
  const idempotency = composeIdempotency(platform, sections);
  const overload = createOverload({
    thresholds: { ...overloadThresholds, delayMs: config.http.shedDelayMs },
    clock,
    metrics,
  });
  const http = await createHttp({
    access: {
      authenticate: whileServing(instances, callers.access.authenticate),
      authenticateSession: whileServing(instances, callers.people.authenticateSession),
    },
    limits: {
      gate: limiting.limits.gate,
      counters: limiting.counters,
      weightOf: limiting.limits.weightOf,
    },
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
    noteReading: (principal, reading) => auditing.audit.note(principal, { ...reading, outcome: 'done' }),
    auditTrail: createAuditTrail({
      context,
      noteRefusal: (refusal) => database.apart(() => auditing.audit.noteRefusal(refusal)),
      clock,
      log,
    }),
    idempotency,
    rootRoutes: [healthRoutes(health, metrics), keySetRoutes(callers.tokens)],
    modelRoutes: [models.gateway.routes],
    platformRoutes: [...platformRoutes(platform, sections), healthDetailRoutes(health, version)],
    versionRoutes: { 2: [ledgerV2Routes(sections.money.costs)] },
  });
  return { health, idempotency, overload, http };
}

/** Everything under /api/v1, in the order of the reference. */
function platformRoutes({ config, database, clock }: Platform, sections: Sections): Routes[] {
  const { secrets, auditing, callers, notifier, limiting, money, models, answers } = sections;
  const { limits, counters } = limiting;
  const { routing, targetHealth: health } = models;
  return [
    accessRoutes(callers.access, config.region),
    tokenRoutes(callers.tokens),
    peopleRoutes(callers.people),
    roleRoutes(callers.access.roles),
    maskingRoutes(createMasking({ store: createMaskingStore(database), clock })),
    limitsRoutes(limits),
    rateLimitsRoutes({ limits, counters, clock }),
    notificationRoutes(notifier),
    providerHealthRoutes({ ...routing, health }),
    routingRoutes(routing, { health, wayTo }),
    costsRoutes(money.costs),
    ...money.costReports.routes,
    ...money.billing.routes,
    budgetsRoutes(money.budgets.service),
    cacheRoutes(models.cache),
    documentRoutes(answers.knowledge.documents),
    ...retrievalRoutes(answers.retrieval, { clock, problemOf }),
    auditRoutes(auditing.audit),
    forwardingRoutes(auditing.auditForwarding),
    keyringRoutes(secrets.keyring, config.secrets.vault?.transitMount ?? 'transit'),
  ];
}

function composeHealth(platform: Platform, { costs }: MoneySection) {
  const { database, redis, foundation, instances, clock, log } = platform;
  return createHealth({
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
}

function composeIdempotency(platform: Platform, { secrets, answers }: Sections) {
  const { database, instances, instanceId, clock, newId, log } = platform;
  const { secretBox } = secrets;
  const { mayRead } = answers.knowledge;
  return createIdempotency({
    store: createIdempotencyStore(database),
    database,
    seal: (text, tenantId) => secretBox.seal(text, 'idempotency', tenantId),
    open: (sealed, tenantId) => secretBox.open(sealed, 'idempotency', tenantId),
    mayRead: async (principal) => {
      const state = await mayRead(principal);
      const reader = [...principal.readerTokens].sort();
      return state === null
        ? null
        : createHash('sha256')
            .update(JSON.stringify([state, reader]))
            .digest('base64');
    },
    newId,
    instanceId,
    living: instances.live,
    clock,
    log,
  });
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
