import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { RedisLink } from '../../platform/redis.ts';
import type {
  Actuals,
  AdmissionRequest,
  Counters,
  Decision,
  DemandState,
  EstablishedBudget,
} from './counters.ts';
import { createRecentIds } from './recent-ids.ts';
import { createAdmissions } from './redis-admissions.ts';
import { createCalls, MemoryLost, scripts } from './redis-calls.ts';
import { Group } from './redis-group.ts';
import { createRedisCountersMetrics } from './redis-metrics.ts';
import { createReach } from './redis-reach.ts';
import { type AwayPolicy, createStandIn } from './redis-stand-in.ts';
import { createSync, renewedAtOnce } from './redis-sync.ts';
import { createWanted } from './redis-wanted.ts';
import { statesOf } from './redis-wire.ts';

export interface RedisCountersDependencies {
  readonly redis: RedisLink;
  /** This process. */
  readonly writer: string;
  /** Counts in this process while Redis is away. */
  readonly local: Counters;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** How many instances live, this one among them. */
  readonly instances: () => number;
  /** What happens while Redis is away, for limits and for budgets. */
  readonly policy: { readonly rates: AwayPolicy; readonly spend: AwayPolicy };
  /** The time that is counted by, milliseconds; absent: Redis' own, so that instances agree. Tests drive it. */
  readonly now?: () => number;
  /** How often reservations are renewed, milliseconds; absent: three times in a lease. */
  readonly renewMs?: number;
}

/** Counters that all instances share. */
export interface RedisCounters extends Counters {
  /** Rejects with AppError `dependency_down` only where the policy is to refuse while Redis is away. */
  admit(request: AdmissionRequest): Promise<Decision>;
  /** @throws AppError `dependency_down` while Redis is away. */
  establish(group: string, counter: string, budget: EstablishedBudget): Promise<void>;
  /**
   * Told of budgets that another instance asks this one to establish, because it waits for what this one has spent, and
   * this one has not established them itself.
   */
  onWanted(listener: (group: string, counters: readonly string[]) => void): void;
  /** Leases anew what this process holds. Done by itself, too, three times in a lease. */
  renew(): Promise<void>;
  /** Whether all instances count together now. */
  readonly shared: boolean;
  start(): Promise<void>;
  /** Tells what is to be told, as far as Redis takes it. */
  stop(): Promise<void>;
}

const defaultRenewMs = 3_000;
/** Groups whose counters are remembered; those of which nothing is open or to be told make room. */
const groupsAtMost = 20_000;
/** From here on those make room, too, of which something is to be told while Redis is away: strangers by the thousand. */
const groupsToTellAtMost = 100_000;
/** How long an admission waits for its group to be told, milliseconds; and whoever establishes a budget. */
const syncWaitMs = 25;
const establishWaitMs = 1_000;
/** Groups told at once when Redis is back. */
const syncedAtOnce = 16;
const settledRemembered = 10_000;
const tellAtMost = 500;
/** Own spending is remembered for so long after a period's end. */
const ownGraceMs = 3_600_000;

export function createRedisCounters(deps: RedisCountersDependencies): RedisCounters {
  const { redis, writer, clock, log } = deps;
  const nowMs = deps.now ?? (() => clock.now().getTime());
  const groups = new Map<string, Group>();
  const settledIds = createRecentIds(settledRemembered);
  const stopping = new AbortController();
  let renewing: Promise<void> = Promise.resolve();

  const reach = createReach({
    redis,
    clock,
    log,
    scripts,
    onAnswering: () => tellAll(),
    onBack: () => void joinAll(),
  });
  const metrics = createRedisCountersMetrics(deps.metrics, () => reach.usable);
  const calls = createCalls({ redis, reach, writer, now: deps.now });
  const { local, instances, policy } = deps;
  const standIn = createStandIn({ local, writer, nowMs, instances, policy });
  const sync = createSync({ reach, calls, standIn, nowMs, metrics });
  const wanted = createWanted({
    redis,
    clock,
    writer,
    tell(name, counters) {
      const group = groups.get(name);
      const unknown = counters.filter((counter) => !group?.own.has(counter));
      if (group === undefined) return unknown;
      for (const counter of counters) if (group.own.has(counter)) group.toTell.add(counter);
      if (isShared(group)) tellSoon(group);
      return unknown;
    },
  });

  const open = (name: string): Group => {
    const known = groups.get(name);
    if (known !== undefined) return known;
    if (groups.size >= groupsAtMost) makeRoom();
    const group = new Group(name);
    groups.set(name, group);
    return group;
  };

  const makeRoom = (): void => {
    let looks = 0;
    for (const [name, group] of groups) {
      if (group.isIdle || (groups.size >= groupsToTellAtMost && !group.isInUse)) {
        groups.delete(name);
        return;
      }
      // Looked at again when the others have had their turn.
      groups.delete(name);
      groups.set(name, group);
      if (++looks === 32) return;
    }
  };

  const isShared = (group: Group): boolean => reach.usable && group.term === reach.term && !group.lost;

  /** Counting goes through Redis from now on, after what it has to be told first. */
  const joins = async (group: Group): Promise<boolean> => {
    if (isShared(group)) return true;
    if (!reach.usable) return false;
    if (!group.needsSync(reach.connection)) {
      standIn.end(group);
      group.term = reach.term;
      group.connection = reach.connection;
      return true;
    }
    return sync.join(group);
  };

  const joinsSoon = (group: Group, ms = syncWaitMs): Promise<boolean> => {
    const timer = new AbortController();
    const late = clock.sleep(ms, timer.signal).then(
      () => false,
      () => false,
    );
    return Promise.race([joins(group), late]).finally(() => timer.abort());
  };

  const forEach = async (
    waiting: Group[],
    act: (group: Group) => Promise<unknown>,
    isGoing: () => boolean,
  ) => {
    const next = async (): Promise<void> => {
      for (let group = waiting.pop(); group !== undefined && isGoing(); group = waiting.pop())
        await act(group);
    };
    await Promise.all(Array.from({ length: syncedAtOnce }, next));
  };
  const tellAll = () => {
    const toTell = [...groups.values()].filter((group) => group.alone || group.needsSync(reach.connection));
    return forEach(toTell, sync.tell, () => redis.connected);
  };
  /** What has calls open joins too: nobody might ask about it before they end, and their ends are to be told. */
  const joinAll = () => {
    const toJoin = [...groups.values()].filter((group) => !group.isIdle);
    return forEach(toJoin, joins, () => reach.usable);
  };

  /** A failure of one call. Lost memory is mended at once; anything else means that Redis is away. */
  const failed = (group: Group, error: unknown): void => {
    if (error instanceof MemoryLost) void joins(group);
    else reach.trip(error);
  };

  // What is told, and not waited for

  const tellNow = (group: Group): void => {
    while (group.toSettle.length + group.toTell.size > 0) {
      const settled = group.toSettle.splice(0, tellAtMost);
      const own = group.tellOwn();
      calls.settle(group, settled, own).catch((error) => {
        group.toSettle.unshift(...settled);
        for (const [counter] of own) group.toTell.add(counter);
        failed(group, error);
      });
    }
  };

  /** After whatever else is settled in this turn. */
  const tellSoon = (group: Group): void => {
    group.telling ??= Promise.resolve().then(() => {
      group.telling = null;
      if (isShared(group)) tellNow(group);
    });
  };

  const settle = (name: string, id: string, actuals: Actuals): void => {
    const group = groups.get(name);
    if (group === undefined) return;
    const held = group.open.get(id);
    group.open.delete(id);
    const spent = !settledIds.has(id) && group.spend(actuals);
    if (spent) settledIds.add(id);
    if (held === undefined && !spent) return;
    const shared = isShared(group);
    if (!shared) standIn.settle(group, id, actuals);
    if (held !== undefined) {
      const used = held.holds.flatMap(([kind, counter, , windowMs]) => {
        const amount = actuals.get(counter) ?? 0;
        return kind === 2 && amount > 0 ? [{ counter, windowMs, amount }] : [];
      });
      if (shared) group.settleLater([id, used.map(({ counter, amount }) => [counter, amount] as const)]);
      else {
        if (held.inRedis) group.settleLater([id, []]);
        for (const { counter, windowMs, amount } of used)
          group.takeWindow(counter, windowMs, Math.floor(nowMs() / windowMs), amount);
      }
    }
    if (shared) tellSoon(group);
    else void joins(group);
  };

  const renewGroup = async (group: Group): Promise<void> => {
    const ids = [...group.open.keys()];
    for (let at = 0; at < ids.length; at += renewedAtOnce) {
      // One that was settled meanwhile is not held again.
      const still = ids.slice(at, at + renewedAtOnce).filter((id) => group.open.has(id));
      const missing = await calls.renew(
        group,
        still.map((id) => [id]),
      );
      const again = missing.flatMap((id) => {
        const held = group.open.get(id);
        return held === undefined ? [] : [[id, held.record] as const];
      });
      if (again.length > 0) await calls.renew(group, again);
    }
  };

  const renew = async (): Promise<void> => {
    for (const group of groups.values()) {
      forgetOldPeriods(group);
      if (group.open.size > 0 && isShared(group))
        await renewGroup(group).catch((error) => failed(group, error));
    }
  };

  const keepRenewing = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(deps.renewMs ?? defaultRenewMs, stopping.signal).catch(() => {});
      if (!stopping.signal.aborted) await renew();
    }
  };

  const forgetOldPeriods = (group: Group): void => {
    for (const [counter, { endsAtMs }] of group.own)
      if (endsAtMs + ownGraceMs < nowMs()) group.own.delete(counter);
  };

  const away = (cause?: unknown) =>
    new AppError(
      'dependency_down',
      'What is left of a budget cannot be told at the moment. Try again shortly.',
      {
        cause,
        retryAfterSeconds: 1,
      },
    );

  const admit = createAdmissions({
    writer,
    reach,
    calls,
    standIn,
    metrics,
    clock,
    nowMs,
    open,
    isShared,
    joinsSoon,
    tellNow,
    askWhatWasSpent: wanted.ask,
  });

  return {
    admit,
    settle,
    async peek(name, demands): Promise<readonly DemandState[]> {
      const group = open(name);
      if (demands.length === 0) return [];
      try {
        if (isShared(group) || (await joinsSoon(group))) {
          tellNow(group);
          const { raws, atMs } = await calls.look(group, demands);
          return statesOf(demands, raws, atMs);
        }
      } catch (error) {
        failed(group, error);
      }
      return standIn.peek(group, demands);
    },
    async establish(name, counter, { base, own, writers, endsAtMs }) {
      const group = open(name);
      const known = group.own.get(counter)?.nanoUsd ?? 0;
      const spent = { nanoUsd: Math.max(known, own), endsAtMs };
      group.own.set(counter, spent);
      const tell = () => {
        const budget = { base, own: spent.nanoUsd, writers, endsAtMs };
        return calls.establish(group, counter, budget, Math.max(0, endsAtMs - nowMs()) + 86_400_000);
      };
      try {
        if (!isShared(group) && !(await joinsSoon(group, establishWaitMs))) throw away();
        await tell().catch(async (error) => {
          if (!(error instanceof MemoryLost) || !(await joinsSoon(group, establishWaitMs))) throw error;
          await tell();
        });
      } catch (error) {
        if (error instanceof AppError) throw error;
        failed(group, error);
        throw away(error);
      }
    },
    async forgetDoubt(name, dead) {
      const group = open(name);
      group.toForget.add(dead);
      if (!isShared(group)) {
        await joinsSoon(group);
        return;
      }
      try {
        await calls.forget(group, dead);
        group.toForget.delete(dead);
      } catch (error) {
        failed(group, error);
      }
    },
    onWanted: wanted.listen,
    renew,
    get shared() {
      return reach.usable;
    },
    async start() {
      await reach.start();
      renewing = keepRenewing();
    },
    async stop() {
      stopping.abort();
      for (const group of groups.values()) if (isShared(group)) tellNow(group);
      // Answered after all that was told.
      if (reach.usable) await redis.command('PING').catch(() => {});
      await renewing;
      await reach.stop();
    },
  };
}
