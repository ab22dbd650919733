import { z } from 'zod';
import type { Log } from '../../platform/log.ts';
import type { RedisLink } from '../../platform/redis.ts';
import type { HealthShare } from './health-news.ts';

const channel = 'gatehouse:breakers';

const message = z.object({
  from: z.string(),
  providerId: z.string(),
  model: z.string(),
  key: z.number().int().min(0).nullable(),
  openUntilMs: z.number().nullable(),
  named: z.boolean(),
});

/** Instances tell each other over Redis Pub/Sub what opens and closes. While Redis is away, each finds out by itself. */
export function createRedisHealthShare(deps: {
  readonly redis: Pick<RedisLink, 'command' | 'subscribe'>;
  /** Tells this instance's own messages from others'. */
  readonly instanceId: string;
  readonly log: Log;
}): HealthShare {
  const { redis, instanceId, log } = deps;
  return {
    publish(news) {
      redis.command('PUBLISH', channel, JSON.stringify({ ...news, from: instanceId })).catch((error) => {
        log.debug({ err: error }, 'other instances were not told of a breaker');
      });
    },
    subscribe(heard) {
      redis.subscribe(
        channel,
        (text) => {
          const read = message.safeParse(parsed(text));
          if (read.success && read.data.from !== instanceId) heard(read.data);
        },
        // What was missed meanwhile is found out after a few failures.
        () => {},
      );
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
