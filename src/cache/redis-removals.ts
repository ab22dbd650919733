import type { NewId } from '../platform/ids.ts';
import type { RedisLink } from '../platform/redis.ts';
import { cacheChannel, redisKeys } from './redis-keys.ts';
import { forgetScript, removeKeyScript, removeTagScript, removeTenantScript } from './redis-scripts.ts';
import type { Removal } from './shared-level.ts';

export interface RedisRemovalsDependencies {
  readonly redis: RedisLink;
  readonly newId: NewId;
  readonly stateLifeMs: number;
  readonly generationOf: (tenantId: string) => Promise<string>;
}

/** Longer than making an answer may take: so long it is known that an entry was removed while it was made. */
const removalLifeMs = 60 * 60 * 1_000;
/** Keys in one command. */
const batchSize = 500;
/** A generation that changes under a removal took the entries with it; it hardly changes twice. */
const maxTries = 5;
const maxBatches = 10_000;

/** Removes in Redis and tells every instance, as one step; what is unreachable by then is cleared away after it. */
export function createRedisRemovals({ redis, newId, stateLifeMs, generationOf }: RedisRemovalsDependencies) {
  const removeKey = redis.script(removeKeyScript);
  const removeTag = redis.script(removeTagScript);
  const removeTenant = redis.script(removeTenantScript);
  const forgetKeys = redis.script(forgetScript);

  const inGeneration = async <T>(tenantId: string, work: (generation: string) => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      const reply = await work(await generationOf(tenantId));
      if (reply !== -1 || attempt === maxTries) return reply;
    }
  };

  const unlink = async (tenantId: string, generation: string, keys: readonly string[]): Promise<void> => {
    const names = redisKeys(tenantId).of(generation);
    for (let at = 0; at < keys.length; at += batchSize) {
      const batch = keys.slice(at, at + batchSize);
      await redis.command('UNLINK', ...batch.map(names.entry));
      await forgetKeys([names.order, names.sizes], batch);
    }
  };

  const clearAway = async (tenantId: string, generation: string): Promise<number> => {
    const names = redisKeys(tenantId).of(generation);
    let count = 0;
    for (let batch = 0; batch < maxBatches; batch++) {
      const popped = (await redis.command('ZPOPMIN', names.order, batchSize)) as Buffer[];
      // Keys and scores take turns.
      const keys = popped.filter((_, index) => index % 2 === 0).map(String);
      if (keys.length === 0) break;
      await redis.command('UNLINK', ...keys.map(names.entry));
      count += keys.length;
    }
    await redis.command('UNLINK', names.sizes);
    return count;
  };

  return {
    /** @returns how many entries went. @throws RedisAway when it could not be done, or not be told whether it was. */
    async apply(removal: Removal): Promise<number> {
      const { tenantId } = removal;
      const keys = redisKeys(tenantId);
      const message = JSON.stringify(removal);
      if (removal.what === 'tenant') {
        const before = await removeTenant([keys.state], [newId(), stateLifeMs, cacheChannel, message]);
        return before === null ? 0 : clearAway(tenantId, String(before));
      }
      const { name } = removal;
      if (removal.what === 'key') {
        const gone = await inGeneration(tenantId, (generation) => {
          const names = keys.of(generation);
          const touched = [keys.state, names.entry(name), names.removal(name), names.order, names.sizes];
          return removeKey(touched, [generation, name, removalLifeMs, cacheChannel, message]);
        });
        return Math.max(0, Number(gone));
      }
      return inGeneration(tenantId, async (generation) => {
        const names = keys.of(generation);
        const touched = [keys.state, names.tag(name), names.members(name)];
        const found = await removeTag(touched, [generation, stateLifeMs, cacheChannel, message]);
        if (!Array.isArray(found)) return -1;
        await unlink(tenantId, generation, found.map(String));
        return found.length;
      });
    },
  };
}
