import { rm } from 'node:fs/promises';
import type { Access } from './access/index.ts';
import { composeAccess } from './compose/access.ts';
import { composeAudit } from './compose/audit.ts';
import { composeGateway } from './compose/gateway.ts';
import { composeHttp } from './compose/http.ts';
import { composeKnowledge } from './compose/knowledge.ts';
import { composeLimits } from './compose/limits.ts';
import { composeMoney } from './compose/money.ts';
import { composeNotifications } from './compose/notifications.ts';
import { composePlatform, type Foundation } from './compose/platform.ts';
import { composeSecrets } from './compose/secrets.ts';
import type { HttpServer } from './http/index.ts';
import type { Documents } from './knowledge/index.ts';
import { type Clock, systemClock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import type { Keyring } from './platform/keyring/index.ts';
import type { Log } from './platform/log.ts';
import { type Random, systemRandom } from './platform/random.ts';
import { createPlatformSettings, type PlatformSettings } from './platform/settings.ts';

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

/** How long running jobs may take to reach the end of a step; what is left goes on at the next start. */
const jobsStopTimeoutMs = 10_000;

/**
 * Builds everything once and wires it: a section of `compose/` each, in the order of the layers. Nothing acts until `start`.
 * Start and stop are one list each, whatever the section, because their order is what matters.
 */
export async function compose(
  config: Config,
  foundation: Foundation,
  log: Log,
  version: string,
  clock: Clock = systemClock,
  random: Random = systemRandom,
): Promise<Gatehouse> {
  const platform = composePlatform({ config, foundation, log, version, clock, random });
  const secrets = composeSecrets(platform);
  const auditing = composeAudit(platform, secrets);
  const callers = composeAccess(platform, { ...secrets, ...auditing });
  const notifier = composeNotifications(platform, secrets);
  const limiting = composeLimits(platform, callers);
  const money = composeMoney(platform, {
    ...callers,
    ...limiting,
    notifier,
    // What is routed has a price, and prices ask where a tenant's calls go.
    addressOf: (tenantId, provider) => models.routing.addressOf(tenantId, provider),
    tenantsWithOwn: (provider) => models.routing.tenantsWithOwn(provider),
  });
  const models = composeGateway(platform, { ...secrets, ...limiting, ...money });
  const answers = composeKnowledge(platform, { ...callers, ...models });
  const sections = { secrets, auditing, callers, notifier, limiting, money, models, answers };
  const { health, idempotency, overload, http } = await composeHttp(platform, sections);

  const { redis, instances, objects, notifications, jobs, s3, database } = platform;
  const { keyring, references } = secrets;
  const { sequencer, auditForwarding } = auditing;
  const { access, people, tokens } = callers;
  const { limits, sharedCounters } = limiting;
  const { billing, costs, costReports, budgets } = money;
  const { routing, cache, gateway } = models;
  const { knowledge, retrieval, parser, indexDirectory } = answers;
  return {
    http,
    access,
    documents: knowledge.documents,
    settings: createPlatformSettings(database),
    isEldest: platform.isEldest,
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
