import { Counter } from 'prom-client';
import { accessRoutes, createAccess, createAccessStore } from './access/index.ts';
import { createHttp, type HttpServer } from './http/index.ts';
import {
  createHealth,
  createHealthHistory,
  healthDetailRoutes,
  healthRoutes,
} from './observability/index.ts';
import { type Clock, systemClock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import { createDatabase, type Database } from './platform/database/database.ts';
import { createNotifications } from './platform/database/notifications.ts';
import { createIds } from './platform/ids.ts';
import type { Log } from './platform/log.ts';
import { createMetrics } from './platform/metrics.ts';
import { type Random, systemRandom } from './platform/random.ts';

/** What must be there before anything can be built: `cli/foundation.ts` provides it. */
export interface Foundation {
  /** The owner role's connection string. */
  readonly databaseUrl: string;
  readonly masterKey: Buffer;
}

export interface Gatehouse {
  readonly http: HttpServer;
  readonly database: Database;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Builds everything once. Nothing acts until `start`. */
export async function compose(
  config: Config,
  foundation: Foundation,
  log: Log,
  version: string,
  clock: Clock = systemClock,
  random: Random = systemRandom,
): Promise<Gatehouse> {
  const newId = createIds(clock, random);
  const metrics = createMetrics();
  const database = createDatabase({
    url: foundation.databaseUrl,
    pool: config.databasePool,
    statementTimeoutMs: config.statementTimeoutMs,
    log,
    nowMs: clock.monotonicMs,
  });
  const notifications = createNotifications(foundation.databaseUrl, clock, log);

  const failedAuthentication = new Counter({
    name: 'failed_auth_total',
    help: 'Requests refused for want of a valid credential',
    registers: [metrics],
  });
  const crossTenantAttempts = new Counter({
    name: 'cross_tenant_attempts_total',
    help: "Requests that named another tenant than their key's",
    registers: [metrics],
  });
  const access = createAccess({
    store: createAccessStore(database),
    clock,
    newId,
    random,
    log,
    countFailedAuthentication: () => failedAuthentication.inc(),
    countCrossTenantAttempt: () => crossTenantAttempts.inc(),
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });

  const health = createHealth({
    checks: [{ name: 'database', essential: true, probe: () => database.ping() }],
    history: createHealthHistory(database),
    clock,
    log,
  });

  const http = await createHttp({
    access,
    clock,
    newId,
    log,
    metrics,
    version,
    rootRoutes: [healthRoutes(health, metrics)],
    modelRoutes: [],
    platformRoutes: [accessRoutes(access, config.region), healthDetailRoutes(health, version)],
  });

  return {
    http,
    database,
    async start() {
      await access.start();
      await notifications.start();
      health.start();
    },
    async stop() {
      health.drain();
      await http.stop(config.shutdownMs);
      await health.stop();
      await access.stop();
      await notifications.stop();
      await database.stop();
    },
  };
}
