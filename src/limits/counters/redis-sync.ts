import { demandsAtMost } from './counters.ts';
import type { Calls } from './redis-calls.ts';
import { MemoryLost } from './redis-calls.ts';
import type { Group, Push } from './redis-group.ts';
import type { RedisCountersMetrics } from './redis-metrics.ts';
import type { Reach } from './redis-reach.ts';
import type { StandIn } from './redis-stand-in.ts';

export interface SyncDependencies {
  readonly reach: Reach;
  readonly calls: Calls;
  readonly standIn: StandIn;
  readonly nowMs: () => number;
  readonly metrics: RedisCountersMetrics;
}

/** Reservations renewed by one script. */
export const renewedAtOnce = 200;
/** Pushes of one group in a row: what is kept is bounded, so this is more than there can be. */
const pushesAtMost = 64;

/**
 * Tells Redis what this process counted by itself, so that all instances count together again. Each piece has a number, and
 * Redis notes the last one in the same step: told twice it counts once.
 */
export function createSync({ reach, calls, standIn, nowMs, metrics }: SyncDependencies) {
  let numbers = 0;

  const push = async (group: Group, told: Push): Promise<void> => {
    let lost: boolean;
    try {
      lost = await calls.push(group, told, group.lost);
    } catch (error) {
      if (!(error instanceof MemoryLost)) throw error;
      lost = await calls.push(group, told, true);
    }
    (lost ? metrics.lost : metrics.kept).inc();
    if (group.push === told) group.push = null;
  };

  const nextPush = (group: Group): Push =>
    group.push ?? group.makePush(++numbers, nowMs(), (demand) => standIn.missingOf(group, demand));

  /** Renews what is open and says what each holds, so that Redis holds it whatever it forgot. */
  const restore = async (group: Group): Promise<void> => {
    const ids = [...group.open.keys()];
    for (let at = 0; at < ids.length; at += renewedAtOnce) {
      const items = ids.slice(at, at + renewedAtOnce).flatMap((id) => {
        const open = group.open.get(id);
        if (open === undefined) return [];
        open.inRedis = true;
        return [[id, open.record] as const];
      });
      if (items.length > 0) await calls.renew(group, items);
    }
  };

  /** What is known of the group is from before: the next outage begins with what all have counted. */
  const look = async (group: Group): Promise<void> => {
    const demands = [...group.seen.values()].map(({ demand }) => demand);
    for (let at = 0; at < demands.length; at += demandsAtMost)
      await calls.look(group, demands.slice(at, at + demandsAtMost));
  };

  /** Everything that only this process knows, up to now. */
  const tell = async (group: Group): Promise<void> => {
    for (let told = 0; told < pushesAtMost; told++) {
      await push(group, nextPush(group));
      if (group.unsure.length === 0 && group.toSettle.length === 0) break;
    }
    for (const dead of group.toForget) {
      await calls.forget(group, dead);
      group.toForget.delete(dead);
    }
    await restore(group);
  };

  const tellAndJoin = async (group: Group): Promise<void> => {
    const { term, connection } = reach;
    await tell(group);
    await look(group);
    if (reach.term !== term) return;
    // What was counted here meanwhile is told on the same connection, and so before anything that is asked from now on.
    const rest = group.isClean ? null : nextPush(group);
    const late = [...group.open].filter(([, open]) => !open.inRedis);
    standIn.end(group);
    group.term = term;
    group.connection = connection;
    if (rest !== null) push(group, rest).catch(reach.trip);
    if (late.length > 0) {
      for (const [, open] of late) open.inRedis = true;
      calls
        .renew(
          group,
          late.map(([id, { record }]) => [id, record] as const),
        )
        .catch(reach.trip);
    }
  };

  return {
    /**
     * Tells what was counted here, and goes on counting here: by no more than a share of what is left by now, because
     * those who came back before see all of that as free.
     * @throws RedisAway, or what Redis refuses.
     */
    async tell(group: Group): Promise<void> {
      await tell(group);
      await look(group);
      standIn.tighten(group);
    },
    /** @returns whether Redis counts for this group now. One at a time for each group. */
    join(group: Group): Promise<boolean> {
      group.syncing ??= tellAndJoin(group)
        .then(
          () => group.term === reach.term,
          (error) => {
            reach.trip(error);
            return false;
          },
        )
        .finally(() => {
          group.syncing = null;
        });
      return group.syncing;
    },
  };
}
