import { join } from 'node:path';
import { Counter } from 'prom-client';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import { createDatabase } from '../platform/database/database.ts';
import { createNotifications } from '../platform/database/notifications.ts';
import { createIds } from '../platform/ids.ts';
import { createInstances } from '../platform/instances.ts';
import { createJobs } from '../platform/jobs/index.ts';
import type { MasterKeys } from '../platform/keyring/index.ts';
import type { Log } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { createFileObjects, createTwoStores } from '../platform/objects.ts';
import { placeOf } from '../platform/place.ts';
import type { Random } from '../platform/random.ts';
import { createRedis } from '../platform/redis.ts';
import { createRequestContext } from '../platform/request-context.ts';
import { createS3Objects } from '../platform/s3-objects.ts';

/** What must stand before anything can be built; `cli/foundation.ts` provides it. */
export interface Foundation {
  /** The owner role's connection string. */
  readonly databaseUrl: string;
  readonly masterKeys: MasterKeys;
  /** Absolute; locked for this process. */
  readonly dataDirectory: string;
}

/** What the process was started with. */
export interface Given {
  readonly config: Config;
  readonly foundation: Foundation;
  readonly log: Log;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** What was given and what was made of it: every other section is built on this. */
export type Platform = ReturnType<typeof composePlatform>;

/** Connections and what says no word of the domain. */
export function composePlatform(given: Given) {
  const { config, foundation, log, version, clock, random } = given;
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
  const s3Drafts = join(foundation.dataDirectory, 's3-drafts');
  const s3 = config.s3 === null ? null : createS3Objects(config.s3, s3Drafts, newId);
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
  return {
    ...given,
    newId,
    instanceId,
    metrics,
    counter: (name: string, help: string) => new Counter({ name, help, registers: [metrics] }),
    context,
    database,
    notifications,
    s3Drafts,
    s3,
    objects,
    redis,
    place,
    instances,
    /** Whether this is the one that does what one of several instances has to do. */
    isEldest: () => (instances.rows()[0]?.id ?? instanceId) === instanceId,
    jobs,
  };
}
