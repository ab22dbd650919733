import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { RedisLink } from '../platform/redis.ts';
import { cacheChannel, redisKeys } from './redis-keys.ts';
import { endLeadScript, keepLeadScript, leadScript } from './redis-scripts.ts';
import type { Lead } from './shared-level.ts';

/** An instance that dies in the middle holds others up for so long. */
const leadLifeMs = 5_000;
const renewMs = 1_500;
/** How long it is remembered that somebody waits. */
const waiterLifeMs = 60_000;

/** Who makes which answer, among instances. */
export function createRedisLeads(deps: {
  readonly redis: RedisLink;
  readonly clock: Clock;
  readonly newId: NewId;
}) {
  const { redis, clock, newId } = deps;
  const takeLead = redis.script(leadScript);
  const endLead = redis.script(endLeadScript);
  const keepLead = redis.script(keepLeadScript);
  const held = new Map<string, { readonly key: string; readonly end: () => Promise<void> }>();
  const stopping = new AbortController();
  let renewing: Promise<void> = Promise.resolve();

  const renew = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(renewMs, stopping.signal).catch(() => {});
      // One that is lost meanwhile only means that somebody else makes the answer, too.
      await Promise.allSettled([...held].map(([token, { key }]) => keepLead([key], [token, leadLifeMs])));
    }
  };

  return {
    async take(tenantId: string, key: string, generation: string): Promise<Lead | 'taken'> {
      const names = redisKeys(tenantId).of(generation);
      const token = newId();
      const keys = [names.lead(key), names.waiters(key)];
      const taken = await takeLead(keys, [token, leadLifeMs, waiterLifeMs]);
      if (taken !== 1) return 'taken';
      const message = JSON.stringify({ what: 'done', tenantId, name: key });
      const end = async () => {
        // Redis that is away lets it run out by itself.
        if (held.delete(token)) await endLead(keys, [token, cacheChannel, message]).catch(() => {});
      };
      held.set(token, { key: names.lead(key), end });
      return { end };
    },
    start(): void {
      renewing = renew();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all([...held.values()].map(({ end }) => end()));
      await renewing;
    },
  };
}
