import { hostname } from 'node:os';
import type { Clock } from './clock.ts';
import { AppError } from './errors.ts';
import {
  type InstanceRow,
  type InstanceSession,
  openInstanceSession,
  type Registration,
} from './instance-session.ts';
import * as words from './instance-words.ts';
import type { Log } from './log.ts';
import type { RedisLink } from './redis.ts';

export type { InstanceRow } from './instance-session.ts';

/** The processes that serve from one database, this one among them. */
export interface Instances {
  /**
   * Takes its place among them. Waits at most 30 s for one that seems to have died just now.
   * @throws AppError `config_invalid` with what to do, when it may not serve beside those that are there;
   *   `database_unavailable`.
   */
  start(): Promise<void>;
  /**
   * Ids of the processes that live, this one always among them. About a second old; one that was killed stays for up to
   * three, lest a lost connection be taken for a lost process.
   */
  live(): readonly string[];
  count(): number;
  /** What the others, and this one, say of themselves; as old as `live`. */
  rows(): readonly InstanceRow[];
  /** Told the id of each that ended, seconds after it did; never of this one. */
  onLeft(listener: (id: string) => void): void;
  /** Why this one may take no calls at the moment, in a sentence; null when it may. */
  problem(): string | null;
  /** The others learn of it within about a second. */
  stop(): Promise<void>;
}

export interface InstancesDependencies {
  /** Connection string of the owner role. */
  readonly url: string;
  /** Of this process. */
  readonly id: string;
  /** Of its data directory. */
  readonly place: string;
  readonly version: string;
  readonly address: string | null;
  /** Null: nothing is shared but the database, and so it must be alone. */
  readonly redis: Pick<RedisLink, 'command'> | null;
  readonly clock: Clock;
  readonly log: Log;
  /** How long one that shows no life is waited for, milliseconds; absent: 30,000. */
  readonly patienceMs?: number;
}

const beatMs = 1_000;
/** Missing for so long, while its row is still there: its connection may have been lost, and come back at once. */
const missingMs = 2_000;
/** A vanished machine's connection ends within about 20 s. */
const defaultPatienceMs = 30_000;
const lookMs = 100;
/** How long two may name different Redis servers, because one of them has not heard of a restart yet. */
const redisPatienceMs = 5_000;
const retryMs = 500;
const sayAgainMs = 60_000;

export function createInstances(deps: InstancesDependencies): Instances {
  const { clock, log, redis } = deps;
  const own: Registration = {
    id: deps.id,
    place: deps.place,
    host: hostname(),
    pid: process.pid,
    address: deps.address,
    version: deps.version,
    hasRedis: redis !== null,
    startedAt: clock.now(),
  };
  const stopping = new AbortController();
  const leftListeners: ((id: string) => void)[] = [];
  let session: InstanceSession | null = null;
  let installation = '';
  let watch: Promise<void> = Promise.resolve();
  let seen: readonly InstanceRow[] = [];
  let ids: readonly string[] = [own.id];
  let problem: string | null = null;
  /** Since when each is missing, by the monotonic clock. */
  let missing = new Map<string, number>();
  let differingSinceMs: number | null = null;
  let saidDifferingMs = Number.NEGATIVE_INFINITY;

  /** Any server answers with what the first of us left there, so two with different answers use different ones. */
  const redisServer = async (): Promise<string | null> => {
    if (redis === null) return null;
    const key = `gatehouse:installation:${installation}`;
    try {
      await redis.command('SET', key, own.id, 'NX');
      const value = await redis.command('GET', key);
      return value === null ? null : String(value);
    } catch {
      return null;
    }
  };

  /** Says that we live, and looks who else does. */
  const look = async (current: InstanceSession): Promise<void> => {
    if (!(await current.beat(own.id, await redisServer()))) {
      throw new Error(words.lockDoesNotHold);
    }
    take(await current.instances(ids));
    noticeOtherRedis();
  };

  const take = (rows: readonly InstanceRow[]): void => {
    const now = clock.monotonicMs();
    const byId = new Map(rows.map((row) => [row.id, row]));
    const stillMissing = new Map<string, number>();
    const left: string[] = [];
    for (const id of ids) {
      const row = byId.get(id);
      if (id === own.id || row?.live) continue;
      const since = missing.get(id) ?? now;
      if (row && now - since < missingMs) stillMissing.set(id, since);
      else left.push(id);
    }
    missing = stillMissing;
    seen = rows.filter((row) => row.live || stillMissing.has(row.id));
    ids = [...new Set([own.id, ...seen.map((row) => row.id)])];
    for (const id of left) {
      log.info({ instance: id, was: words.name(byId.get(id)) }, 'an instance is gone');
      for (const listener of leftListeners) listener(id);
    }
  };

  const otherRedis = (rows: readonly InstanceRow[]): InstanceRow | undefined => {
    const mine = rows.find((row) => row.id === own.id)?.redisServer ?? null;
    if (mine === null) return undefined;
    return rows.find((row) => row.live && row.redisServer !== null && row.redisServer !== mine);
  };

  const noticeOtherRedis = (): void => {
    const other = otherRedis(seen);
    const now = clock.monotonicMs();
    if (other === undefined) {
      differingSinceMs = null;
      return;
    }
    differingSinceMs ??= now;
    if (now - differingSinceMs < redisPatienceMs || now - saidDifferingMs < sayAgainMs) return;
    saidDifferingMs = now;
    log.error({ instance: other.id }, words.otherRedis(other));
  };

  /** Takes the lock of all, or finds out that somebody who lives is in the way. */
  const enter = async (current: InstanceSession): Promise<void> => {
    const firstSeen = new Map<string, number>();
    const until = clock.monotonicMs() + (deps.patienceMs ?? defaultPatienceMs);
    while (!(await current.join(own))) {
      const inTheWay = (await current.instances([])).filter(
        (row) => row.live && !(own.hasRedis && row.hasRedis),
      );
      for (const row of inTheWay) {
        const before = firstSeen.get(row.id);
        if (before === undefined) {
          if (firstSeen.size === 0) log.info({}, `${words.name(row)} seems to be at work; making sure`);
          firstSeen.set(row.id, row.seenAt.getTime());
        } else if (row.seenAt.getTime() > before) {
          throw new AppError('config_invalid', words.notAlone(own, row));
        }
      }
      if (clock.monotonicMs() >= until) {
        throw new AppError('config_invalid', words.lockHeld(own, inTheWay[0]));
      }
      await clock.sleep(lookMs, stopping.signal);
    }
  };

  /** Two on copies of one data directory would take each other's changes. Who was killed just now is waited for. */
  const refuseSamePlace = async (current: InstanceSession): Promise<void> => {
    const until = clock.monotonicMs() + (deps.patienceMs ?? defaultPatienceMs);
    const firstSeen = new Map<string, number>();
    for (;;) {
      const rows = await current.instances([]);
      const twin = rows.find((row) => row.live && row.id !== own.id && row.place === own.place);
      if (twin === undefined || clock.monotonicMs() >= until) return;
      const before = firstSeen.get(twin.id);
      if (before !== undefined && twin.seenAt.getTime() > before) {
        throw new AppError('config_invalid', words.samePlace(twin));
      }
      firstSeen.set(twin.id, before ?? twin.seenAt.getTime());
      await clock.sleep(lookMs, stopping.signal);
    }
  };

  const refuseOtherRedis = async (current: InstanceSession): Promise<void> => {
    const until = clock.monotonicMs() + redisPatienceMs;
    for (;;) {
      await look(current);
      const other = otherRedis(seen);
      if (other === undefined) return;
      if (clock.monotonicMs() >= until) throw new AppError('config_invalid', words.otherRedis(other));
      await clock.sleep(beatMs / 2, stopping.signal);
    }
  };

  const keepWatch = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const current = session;
      if (current === null) {
        await comeBack();
        continue;
      }
      const waiting = new AbortController();
      const stop = AbortSignal.any([waiting.signal, stopping.signal]);
      await Promise.race([
        clock.sleep(beatMs, stop).catch(() => {}),
        current.ended.then(() => (session = null)),
      ]);
      waiting.abort();
      if (stopping.signal.aborted || session === null) continue;
      await look(current).catch((error) => {
        if (stopping.signal.aborted) return;
        log.warn({ err: error }, 'the lock of this instance is taken anew');
        session = null;
        current.close();
      });
    }
  };

  /** One try to have the lock again. While the database is away nobody else can have it either: calls go on. */
  const comeBack = async (): Promise<void> => {
    let fresh: InstanceSession | null = null;
    try {
      fresh = await openInstanceSession(deps.url, log);
      if (await fresh.join(own)) {
        missing = new Map();
        await look(fresh);
        if (problem !== null) log.info({}, 'this instance has its lock again and takes calls');
        problem = null;
        session = fresh;
        return;
      }
      const [other] = (await fresh.instances([])).filter((row) => row.live && row.id !== own.id);
      const now = words.shutOut(own, other);
      if (problem !== now) log.error({ instance: other?.id }, now);
      problem = now;
    } catch (error) {
      log.debug({ err: error }, 'the lock of this instance could not be taken yet');
    }
    fresh?.close();
    await clock.sleep(retryMs, stopping.signal).catch(() => {});
  };

  return {
    async start() {
      const current = await openInstanceSession(deps.url, log);
      try {
        await enter(current);
        await refuseSamePlace(current);
        installation = await current.installation();
        await refuseOtherRedis(current);
      } catch (error) {
        await current.leave(own.id);
        throw error;
      }
      if (redis !== null && seen.find((row) => row.id === own.id)?.redisServer === null) {
        log.warn({}, 'Redis does not answer, so it is not known yet whether all instances use the same one');
      }
      session = current;
      watch = keepWatch();
    },
    live: () => ids,
    count: () => ids.length,
    rows: () => seen,
    onLeft(listener) {
      leftListeners.push(listener);
    },
    problem: () => problem,
    async stop() {
      stopping.abort();
      await watch;
      await session?.leave(own.id);
      session = null;
    },
  };
}
