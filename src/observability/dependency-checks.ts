import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import type { Database } from '../platform/database/database.ts';
import type { Instances } from '../platform/instances.ts';
import type { RedisLink } from '../platform/redis.ts';
import type { HealthCheck } from './health.ts';

const mebibyte = 1024 * 1024;
/** Below this PostgreSQL and the spool may fail to write at any moment. */
const leastFreeBytes = 100 * mebibyte;

/** What this process leans on: its database, a data directory it can write to, and room for usage on its way. */
export function dependencyChecks(deps: {
  readonly database: Pick<Database, 'ping' | 'poolState'>;
  /** Null where instances share nothing. */
  readonly redis: Pick<RedisLink, 'command'> | null;
  readonly dataDirectory: string;
  /** False when usage can no longer be kept safe until the database takes it. */
  readonly canRecordUsage: () => boolean;
  readonly instances: Pick<Instances, 'problem' | 'rows'>;
}): readonly HealthCheck[] {
  return [
    {
      name: 'database',
      essential: true,
      async probe() {
        const { version } = await deps.database.ping();
        const { total, idle, waiting } = deps.database.poolState();
        return { version, detail: `${total} connections, ${idle} idle, ${waiting} requests waiting for one` };
      },
    },
    {
      name: 'data_directory',
      essential: true,
      async probe() {
        await access(deps.dataDirectory, constants.W_OK);
        const { bavail, bsize } = await statfs(deps.dataDirectory);
        const freeBytes = bavail * bsize;
        if (freeBytes < leastFreeBytes) {
          throw new Error(`only ${Math.floor(freeBytes / mebibyte)} MiB are free on the disk; make room`);
        }
        return { detail: `${Math.floor(freeBytes / mebibyte)} MiB free` };
      },
    },
    {
      // Documents and answers without a model go on; model calls are refused until there is room again.
      name: 'usage_spool',
      essential: false,
      async probe() {
        if (!deps.canRecordUsage()) throw new Error('no room for more usage: is the database taking it?');
        return {};
      },
    },
    {
      name: 'instances',
      essential: true,
      async probe() {
        const problem = deps.instances.problem();
        if (problem !== null) throw new Error(problem);
        const { length } = deps.instances.rows();
        return { detail: length === 1 ? 'this one alone' : `${length} on this database` };
      },
    },
    ...(deps.redis === null ? [] : [redisCheck(deps.redis)]),
  ];
}

/** Without Redis requests are limited by this instance alone, and hard budgets take no calls: it is away, not we. */
function redisCheck(redis: Pick<RedisLink, 'command'>): HealthCheck {
  return {
    name: 'redis',
    essential: false,
    async probe() {
      const info = String(await redis.command('INFO', 'server'));
      const version = /^redis_version:(\S+)/m.exec(info)?.[1];
      return version === undefined ? {} : { version };
    },
  };
}
