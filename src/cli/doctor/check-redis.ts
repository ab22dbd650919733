import { Redis } from 'ioredis';
import { withoutPassword } from '../../platform/redis.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

const answerWithinMs = 3_000;
/** Older servers lack what the shared counters' scripts use. */
const leastVersion = 7;

export const redisCheck: Check<Facts> = {
  name: 'redis',
  run: async ({ config }) => {
    if (!config) return [skipped('redis', 'the configuration comes first')];
    if (config.redisUrl === null) {
      return [
        ok('redis', 'not used: limits and budgets are counted in this process, and it must be the only one'),
      ];
    }
    return ask(config.redisUrl);
  },
};

/** Asks for its version, and whether it would throw counters away when it is full. */
async function ask(url: string): Promise<Finding[]> {
  const redis = new Redis(url, {
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: answerWithinMs,
    commandTimeout: answerWithinMs,
    retryStrategy: () => null,
  });
  let refusal: Error | null = null;
  redis.on('error', (error: Error) => {
    refusal ??= error;
  });
  try {
    await redis.connect();
    const info = await redis.info();
    return [versionFinding(info), ...memoryFindings(info)];
  } catch (error) {
    const reason = refusal ?? (error instanceof Error ? error : new Error(String(error)));
    return [
      problem(
        'redis',
        `does not answer at ${new URL(url).host}: ${withoutPassword(reason.message)}`,
        'Start it, or check REDIS_URL: address, user, password, and rediss:// where it wants TLS.',
      ),
    ];
  } finally {
    redis.disconnect();
  }
}

function versionFinding(info: string): Finding {
  const version = fact(info, 'redis_version') ?? 'unknown';
  return Number.parseInt(version, 10) >= leastVersion
    ? ok('redis', `version ${version}`)
    : problem('redis', `version ${version} is too old`, `Use Redis or Valkey ${leastVersion} or newer.`);
}

function memoryFindings(info: string): Finding[] {
  const policy = fact(info, 'maxmemory_policy');
  const bounded = fact(info, 'maxmemory') !== '0';
  if (!bounded || policy === undefined || policy === 'noeviction' || policy.startsWith('volatile-ttl'))
    return [];
  return [
    warning(
      'redis',
      `drops entries of its choice when it is full (${policy}), counters of limits among them`,
      'Give it enough memory, or set maxmemory-policy to noeviction or volatile-ttl.',
    ),
  ];
}

function fact(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}
