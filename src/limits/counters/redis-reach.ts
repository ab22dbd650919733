import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { RedisAway, type RedisLink } from '../../platform/redis.ts';

export interface ReachDependencies {
  readonly redis: Pick<RedisLink, 'command' | 'connected' | 'onConnected'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly log: Log;
  /** The texts of all scripts: loaded on each connection before they are used, so that none overtakes another. */
  readonly scripts: readonly string[];
  /** Redis answers, and is to be told what was counted without it before anybody decides by it. */
  readonly onAnswering: () => Promise<void>;
  /** Redis answers again, from this term on. */
  readonly onBack: () => void;
}

const lookMs = 50;
const pingMs = 500;
/** So many pings in a row that took longer than this, and Redis is as good as away: everybody would wait for it. */
const slowMs = 25;
const slowPings = 5;
/** When Redis answers, and then fails again at once, it is tried less and less often. */
const lastRestMs = 1_000;
/** What was away for less than this was a hiccup: too short for anybody to have counted much alone. */
const hiccupMs = 100;
/**
 * After an outage Redis decides only when it has been back for as long as it was away, this long at most: others connect
 * later, by the same delays that double, and what they counted alone is to be told first. Whoever were let in before
 * would be let in to what others have used up.
 */
const gatherMs = 1_500;
/** After so long without failure the next one is a new story. */
const calmMs = 5_000;

/**
 * Whether Redis can be asked. One failure is enough to do without it, for everybody who waits at that moment too; it is
 * asked in the background until it answers, which after a hiccup is at once.
 */
export function createReach({ redis, clock, log, scripts, onAnswering, onBack }: ReachDependencies) {
  const stopping = new AbortController();
  const waiting = new Set<(error: RedisAway) => void>();
  let reachable = false;
  let term = 0;
  let connection = 0;
  let loadedOn = 0;
  let restMs = 0;
  let backAtMs = Number.NEGATIVE_INFINITY;
  let awaySinceMs: number | null = null;
  let saidAway = false;
  let wasSlow = false;
  const reason = 'Redis is not connected.';
  let wake = (): void => {};
  let watching: Promise<void> = Promise.resolve();

  const trip = (error: unknown): void => {
    if (!reachable) return;
    reachable = false;
    awaySinceMs ??= clock.monotonicMs();
    term++;
    restMs = clock.monotonicMs() - backAtMs < calmMs ? Math.min(lastRestMs, Math.max(lookMs, 2 * restMs)) : 0;
    if (!(error instanceof RedisAway)) log.error({ err: error }, 'limits could not use Redis');
    if (!saidAway && restMs > 0) {
      saidAway = true;
      log.warn(
        { reason: String(error) },
        'limits are counted by each instance for itself: Redis does not answer',
      );
    }
    const away = new RedisAway('Redis does not answer.', error);
    for (const reject of waiting) reject(away);
    waiting.clear();
    wake();
  };

  redis.onConnected(() => {
    connection++;
    trip(new RedisAway('Redis was connected to anew.'));
    wake();
  });

  const pause = async (ms: number): Promise<void> => {
    const woken = new AbortController();
    wake = () => woken.abort();
    await clock.sleep(ms, AbortSignal.any([stopping.signal, woken.signal])).catch(() => {});
    wake = () => {};
  };

  /** Asks for a sign of life. @throws what Redis says, or RedisAway. */
  const ask = async (): Promise<void> => {
    const on = connection;
    if (loadedOn === on) {
      await redis.command('PING');
      return;
    }
    await Promise.all(scripts.map((lua) => redis.command('SCRIPT', 'LOAD', lua)));
    if (connection === on) loadedOn = on;
  };

  const tryAgain = async (): Promise<void> => {
    if (!redis.connected) return;
    try {
      await ask();
    } catch (error) {
      if (!(error instanceof RedisAway)) log.warn({ err: error }, 'limits cannot use Redis');
      return;
    }
    if (loadedOn !== connection) return;
    if (wasSlow && (await isSlow())) {
      await pause(pingMs);
      return;
    }
    wasSlow = false;
    if (!(await isToldByAll())) return;
    reachable = true;
    awaySinceMs = null;
    backAtMs = clock.monotonicMs();
    if (saidAway) log.info('limits are counted in Redis again');
    saidAway = false;
    onBack();
  };

  /** Tells what was counted here alone, and gives others the time to. @returns false when Redis went away meanwhile. */
  const isToldByAll = async (): Promise<boolean> => {
    const awayMs = awaySinceMs === null ? 0 : clock.monotonicMs() - awaySinceMs;
    if (awayMs < hiccupMs) return true;
    const on = connection;
    try {
      await onAnswering();
      await clock.sleep(Math.min(awayMs, gatherMs), stopping.signal);
      await redis.command('PING');
    } catch (error) {
      if (!(error instanceof RedisAway))
        log.error({ err: error }, 'Redis could not be told what was counted');
      return false;
    }
    return on === connection;
  };

  /** Not of a hiccup that is over when it is looked at. */
  const sayAway = (): void => {
    if (saidAway) return;
    saidAway = true;
    log.warn({ reason }, 'each instance counts limits for itself, because Redis is away');
  };

  const watch = async (): Promise<void> => {
    let slow = 0;
    let askedAtMs = clock.monotonicMs();
    while (!stopping.signal.aborted) {
      if (!reachable) {
        await tryAgain();
        slow = 0;
        if (reachable) continue;
        sayAway();
        await pause(lookMs);
        continue;
      }
      await pause(lookMs);
      if (!redis.connected) trip(new RedisAway('Redis is not connected.'));
      if (!reachable) {
        if (restMs > 0) await clock.sleep(restMs, stopping.signal).catch(() => {});
        continue;
      }
      const startedMs = clock.monotonicMs();
      if (startedMs - askedAtMs < pingMs) continue;
      askedAtMs = startedMs;
      if (await isSlow()) slow++;
      else slow = 0;
      wasSlow = slow >= slowPings;
      if (wasSlow) trip(new RedisAway('Redis is slow.'));
    }
  };

  /** Not when this process itself was too busy to notice the answer in time. */
  const isSlow = async (): Promise<boolean> => {
    const startedMs = clock.monotonicMs();
    const elapsedMs = () => clock.monotonicMs() - startedMs;
    const timer = clock.sleep(1, stopping.signal).then(elapsedMs, () => slowMs);
    const answer = redis.command('PING').then(elapsedMs, (error) => {
      trip(error);
      return 0;
    });
    const [tookMs, wokenMs] = await Promise.all([answer, timer]);
    return tookMs > slowMs && wokenMs < slowMs / 2;
  };

  return {
    /** Whether Redis can be asked now. */
    get usable(): boolean {
      return reachable && redis.connected;
    },
    /** Counts the times that Redis was given up. */
    get term(): number {
      return term;
    },
    /** Counts connections: what was sent on an earlier one must not come after what was sent on a later one. */
    get connection(): number {
      return connection;
    },
    trip,
    /** The reply, or RedisAway as soon as Redis is given up. */
    guard<T>(reply: Promise<T>): Promise<T> {
      return new Promise((resolve, reject) => {
        waiting.add(reject);
        reply.then(
          (value) => {
            waiting.delete(reject);
            resolve(value);
          },
          (error) => {
            waiting.delete(reject);
            reject(error);
          },
        );
      });
    },
    /** Looks for Redis; waits for the first answer, or that there is none. */
    async start(): Promise<void> {
      await tryAgain();
      watching = watch();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await watching;
    },
  };
}

export type Reach = ReturnType<typeof createReach>;
