import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import { type RedisArgument, RedisAway, type RedisLink } from '../platform/redis.ts';
import { type Entry, maxTtlMs } from './entry.ts';
import { decodeEntry, encodeEntry } from './entry-bytes.ts';
import { type Forgetful, forget } from './memory-level.ts';
import { createNews } from './news.ts';
import { createPendingRemovals } from './pending-removals.ts';
import { cacheChannel, redisKeys } from './redis-keys.ts';
import { createRedisLeads } from './redis-leads.ts';
import { createRedisRemovals } from './redis-removals.ts';
import { lookScript, writeScript } from './redis-scripts.ts';
import type { Look, Removal, Removed, SharedLevel, SharedMark } from './shared-level.ts';

export interface RedisLevelDependencies {
  readonly redis: RedisLink;
  /** What this process holds: told of each removal, and of each gap in hearing of them. */
  readonly memory: Forgetful;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  /** Bytes of one tenant's entries; the ones whose time ends first make room. */
  readonly maxBytesPerTenant: number;
  /** Told of each time that the cache did without Redis. */
  readonly onFailure: () => void;
}

/** Outlives every entry: its time to live, its time past that, and an hour. */
const stateLifeMs = 2 * maxTtlMs + 60 * 60 * 1_000;
/** Digits of the count before an entry's bytes. */
const stampLength = 16;

/** Shares entries, removals and leads between instances. Every failure of Redis is an answer here, and none rejects. */
export function createRedisLevel(deps: RedisLevelDependencies): SharedLevel {
  const { redis, clock, memory, newId } = deps;
  const look = redis.script(lookScript);
  const write = redis.script(writeScript);
  /** The generation that was last seen of a tenant, as a guess: each look checks it. */
  const generations = new Map<string, string>();
  const news = createNews(clock);
  let hearing = false;

  redis.subscribe(
    cacheChannel,
    (message) => {
      const heard = messageOf(message);
      if (heard === null) return;
      if (heard.what === 'done') news.tell(heard.tenantId, heard.name);
      else forget(memory, heard);
    },
    (now) => {
      // Whatever was removed meanwhile was not heard of.
      memory.removeAll();
      hearing = now;
      if (!now) news.tellAll();
    },
  );

  /** @returns null in place of what cannot be done without Redis. */
  const orNull = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RedisAway)) deps.log.error({ err: error }, 'the cache could not use Redis');
      deps.onFailure();
      return null;
    }
  };

  const lookOnce = async (tenantId: string, key: string) => {
    const keys = redisKeys(tenantId);
    const guess = generations.get(tenantId) ?? '';
    const reply = await look([keys.state, keys.of(guess).entry(key)], [guess, newId(), stateLifeMs]);
    const [id, sequence, value] = reply as [Buffer, Buffer, Buffer | null];
    const generation = id.toString();
    remember(tenantId, generation);
    return {
      mark: { generation, sequence: Number(sequence.toString()) },
      value,
      guessed: generation === guess,
    };
  };

  const remember = (tenantId: string, generation: string) => {
    generations.delete(tenantId);
    generations.set(tenantId, generation);
    const oldest = generations.keys().next();
    if (generations.size > maxGenerations && !oldest.done) generations.delete(oldest.value);
  };

  /** Whether each tag is still known and was not removed since the entry was written. */
  const holds = async (
    tenantId: string,
    { generation }: SharedMark,
    tags: readonly string[],
    stamp: number,
  ) => {
    if (tags.length === 0) return true;
    const names = redisKeys(tenantId).of(generation);
    const counts = (await redis.command('MGET', ...tags.map(names.tag))) as (Buffer | null)[];
    return counts.every((count) => count !== null && Number(count.toString()) <= stamp);
  };

  const lookUp = async (tenantId: string, key: string): Promise<Look> => {
    let found = await lookOnce(tenantId, key);
    if (!found.guessed) found = await lookOnce(tenantId, key);
    const { mark, value } = found;
    const entry = value && decodeEntry(tenantId, key, value.subarray(stampLength));
    if (!entry || !value) return { entry: null, mark };
    const stamp = Number(value.toString('latin1', 0, stampLength));
    return { entry: (await holds(tenantId, mark, entry.tags, stamp)) ? entry : null, mark };
  };

  /** The tenant's generation as it is now. */
  const generationOf = async (tenantId: string): Promise<string> => {
    const { mark } = await lookOnce(tenantId, '');
    return mark.generation;
  };

  const removals = createRedisRemovals({ redis, newId, stateLifeMs, generationOf });
  const pending = createPendingRemovals({ log: deps.log, apply: removals.apply });
  const leads = createRedisLeads({ redis, clock, newId });
  redis.onConnected(() => void pending.settle());

  /** What was removed while Redis was away is removed there before anything is read from it again. */
  const isUsable = () => {
    if (pending.size === 0) return redis.connected;
    if (redis.connected) void pending.settle();
    return false;
  };
  const whenUsable = async <T>(work: () => Promise<T>): Promise<T | null> => {
    if (isUsable()) return orNull(work);
    deps.onFailure();
    return null;
  };

  return {
    get hearing() {
      return hearing && pending.size === 0;
    },
    look: (tenantId, key) => whenUsable(() => lookUp(tenantId, key)),
    async write(tenantId, entry, mark) {
      const kept = await whenUsable(() => writeEntry(tenantId, entry, mark));
      if (kept === null) return 'away';
      return kept ? 'kept' : 'removed';
    },
    lead: (tenantId, key, mark) => whenUsable(() => leads.take(tenantId, key, mark.generation)),
    news: news.of,
    async remove(removal: Removal): Promise<Removed> {
      if (isUsable()) {
        const entries = await orNull(() => removals.apply(removal));
        if (entries !== null) return { entries, everywhere: true };
      }
      pending.add(removal);
      return { entries: 0, everywhere: false };
    },
    usage: (tenantId) =>
      whenUsable(async () => {
        const names = redisKeys(tenantId).of(await generationOf(tenantId));
        const [entries, bytes] = await Promise.all([
          redis.command('ZCOUNT', names.order, clock.now().getTime(), '+inf'),
          redis.command('HGET', names.sizes, '*'),
        ]);
        return { entries: Number(entries), bytes: Number(String(bytes ?? 0)) };
      }),
    start: () => leads.start(),
    stop: () => leads.stop(),
  };

  async function writeEntry(tenantId: string, entry: Entry, mark: SharedMark): Promise<boolean> {
    const keys = redisKeys(tenantId);
    const names = keys.of(mark.generation);
    const { key, tags } = entry;
    const nowMs = clock.now().getTime();
    const lifeMs = Math.max(1, Math.ceil(entry.staleUntilMs - nowMs));
    const args: RedisArgument[] = [mark.generation, mark.sequence, encodeEntry(tenantId, entry), key, lifeMs];
    const reply = (await write(
      [
        keys.state,
        names.entry(key),
        names.removal(key),
        names.order,
        names.sizes,
        ...tags.flatMap((tag) => [names.tag(tag), names.members(tag)]),
      ],
      [...args, entry.staleUntilMs, nowMs, deps.maxBytesPerTenant, stateLifeMs],
    )) as [number, ...Buffer[]];
    const [kept, ...gone] = reply;
    if (gone.length > 0) await redis.command('UNLINK', ...gone.map((name) => names.entry(name.toString())));
    return kept === 1;
  }
}

/** Tenants whose generation is remembered; of others it is asked for once more. */
const maxGenerations = 10_000;

type Message = Removal | { readonly what: 'done'; readonly tenantId: string; readonly name: string };

/** Anything may be sent on a channel: only what is meant for us is listened to. */
function messageOf(text: string): Message | null {
  try {
    const { what, tenantId, name } = JSON.parse(text) as Record<string, unknown>;
    if (typeof tenantId !== 'string') return null;
    if (what === 'tenant') return { what, tenantId };
    if (typeof name !== 'string') return null;
    return what === 'key' || what === 'tag' || what === 'done' ? { what, tenantId, name } : null;
  } catch {
    return null;
  }
}
