import { AppError } from '../../platform/errors.ts';
import type { AdmissionRequest, Counters, Decision, Demand, DemandState } from './counters.ts';
import type { Group } from './redis-group.ts';
import { amountOf } from './redis-wire.ts';
import { blankView, roomIn, viewWindow } from './sliding-window.ts';
import { levelNow, millionths } from './token-bucket.ts';

/** What stands in for Redis while it is away: 'open' counts on here, at this instance's share; 'closed' refuses. */
export type AwayPolicy = 'open' | 'closed';

export interface StandInDependencies {
  /** Counters in this process. */
  readonly local: Counters;
  readonly writer: string;
  readonly nowMs: () => number;
  readonly instances: () => number;
  readonly policy: { readonly rates: AwayPolicy; readonly spend: AwayPolicy };
}

/** When Redis may be back. */
const retryAfterSeconds = 1;
/** When to come back where this instance's share never has room, though the whole limit would have. */
const shareRetryMs = 5_000;

/**
 * Counts here what Redis cannot count at the moment. Each instance takes its share of what was left at its last contact
 * and of what comes anew, so that all of them together stay within the limit: no outage hands out a fresh quota. What
 * this instance never saw starts at its share of the whole.
 */
export function createStandIn({ local, writer, nowMs, instances, policy }: StandInDependencies) {
  const nameOf = (group: Group) => `${group.name}~${group.period}`;
  const shareOf = (amount: number) => Math.max(1, Math.floor(amount / Math.max(1, instances())));
  const freeShare = (room: number) => Math.floor(Math.max(0, room) / Math.max(1, instances()));

  /** Begins to count here alone: calls that go on hold what they held. */
  const begin = (group: Group): void => {
    if (group.alone) return;
    group.alone = true;
    group.period++;
    group.begun.clear();
    group.caps.clear();
    for (const [id, { holds }] of group.open) {
      const demands = holds.flatMap(([kind, counter]): Demand[] =>
        kind === 3 ? [{ kind: 'concurrent', counter, limit: Number.MAX_SAFE_INTEGER }] : [],
      );
      if (demands.length > 0) local.admit({ group: nameOf(group), id, demands });
    }
  };

  /** This instance's part of a demand. */
  const shared = (group: Group, demand: Demand): Demand => {
    switch (demand.kind) {
      case 'rate':
        return {
          ...demand,
          milliPerSecond: shareOf(demand.milliPerSecond),
          burst: shareOf(demand.burst),
        };
      case 'window':
      case 'budget':
        return { ...demand, limit: shareOf(demand.limit) };
      case 'concurrent':
        return {
          ...demand,
          limit: Math.min(demand.limit, group.caps.get(demand.counter) ?? shareOf(demand.limit)),
        };
    }
  };

  /** What of the share is gone already, by what was seen of the counter last. */
  const usedOf = (group: Group, demand: Demand): number => {
    const seen = group.seen.get(demand.counter);
    if (seen === undefined) return 0;
    const { raw, atMs } = seen;
    const now = nowMs();
    if (demand.kind === 'rate' && raw.kind === 'rate') {
      const level = levelNow(raw.level, atMs, now, demand.milliPerSecond, demand.burst);
      return shareOf(demand.burst) - freeShare(Math.floor(level / millionths));
    }
    if (demand.kind === 'window' && raw.kind === 'window') {
      const view = blankView();
      viewWindow(raw, demand.windowMs, now, view);
      return shareOf(demand.limit) - freeShare(roomIn(view, demand.limit));
    }
    if (demand.kind === 'budget' && raw.kind === 'budget')
      return shareOf(demand.limit) - freeShare(demand.limit - raw.spent - raw.held);
    return 0;
  };

  const capOf = (group: Group, demand: Demand & { kind: 'concurrent' }): number => {
    const raw = group.seen.get(demand.counter)?.raw;
    if (raw?.kind !== 'concurrent') return shareOf(demand.limit);
    let own = 0;
    for (const { holds } of group.open.values())
      if (holds.some(([kind, counter]) => kind === 3 && counter === demand.counter)) own++;
    return Math.max(1, own + freeShare(demand.limit - Math.max(own, raw.held)));
  };

  /** Makes the local counter what is left of the share. */
  const beginCounter = (group: Group, demand: Demand): void => {
    if (group.begun.has(demand.counter)) return;
    group.begun.add(demand.counter);
    if (demand.kind === 'concurrent') {
      group.caps.set(demand.counter, capOf(group, demand));
      return;
    }
    const used = Math.max(0, usedOf(group, demand));
    if (demand.kind === 'budget') {
      const { endsAtMs } = demand;
      void local.establish(nameOf(group), demand.counter, {
        base: used,
        own: 0,
        writers: [writer],
        endsAtMs,
      });
      return;
    }
    if (used > 0) takeOfShare(group, demand, used);
  };

  const takeOfShare = (group: Group, demand: Demand & { kind: 'rate' | 'window' }, amount: number): void => {
    const part = shared(group, demand) as Demand & { kind: 'rate' | 'window' };
    const taking: Demand =
      part.kind === 'window'
        ? { ...part, reserved: false, limit: 1_000_000_000, amount }
        : { ...part, amount };
    local.admit({ group: nameOf(group), id: `begun ${demand.counter}`, demands: [taking] });
  };

  const prepare = (group: Group, demands: readonly Demand[]): readonly Demand[] => {
    begin(group);
    for (const demand of demands) beginCounter(group, demand);
    return demands.map((demand) => shared(group, demand));
  };

  return {
    begin,
    /** @throws AppError `dependency_down` where the policy is to refuse. */
    refuseClosed(demands: readonly Demand[]): void {
      for (const { kind } of demands) {
        if (kind === 'budget' && policy.spend === 'closed')
          throw new AppError(
            'dependency_down',
            'This call falls under a budget, and what is left of it cannot be told at the moment. Try again shortly.',
            { retryAfterSeconds },
          );
        if (kind !== 'budget' && policy.rates === 'closed')
          throw new AppError(
            'dependency_down',
            'Whether this request is within its limits cannot be told at the moment. Try again shortly.',
            { retryAfterSeconds },
          );
      }
    },
    admit(group: Group, { id, demands }: AdmissionRequest): Decision {
      const parts = prepare(group, demands);
      const decision = local.admit({ group: nameOf(group), id, demands: parts }) as Decision;
      if (decision.outcome !== 'refused' || decision.retryAfterMs !== null) return decision;
      const demand = demands[decision.exhausted] as Demand;
      const most = demand.kind === 'rate' ? demand.burst : demand.limit;
      return { ...decision, retryAfterMs: amountOf(demand) <= most ? shareRetryMs : null };
    },
    peek(group: Group, demands: readonly Demand[]): readonly DemandState[] {
      const parts = prepare(group, demands);
      return local.peek(nameOf(group), parts) as readonly DemandState[];
    },
    settle(group: Group, id: string, actuals: ReadonlyMap<string, number>): void {
      if (group.alone) local.settle(nameOf(group), id, actuals);
    },
    /** Units that this instance's part of a bucket is short of. */
    missingOf(group: Group, demand: Demand & { kind: 'rate' }): number {
      const part = shared(group, demand) as Demand & { kind: 'rate' };
      const [state] = local.peek(nameOf(group), [part]) as readonly DemandState[];
      return part.burst - (state?.remaining ?? part.burst);
    },
    /** What is left of the share becomes no more than a share of what was seen to be left. */
    tighten(group: Group): void {
      if (!group.alone) return;
      for (const { demand } of group.seen.values()) {
        if ((demand.kind !== 'rate' && demand.kind !== 'window') || !group.begun.has(demand.counter))
          continue;
        const part = shared(group, demand) as Demand & { kind: 'rate' | 'window' };
        const [state] = local.peek(nameOf(group), [part]) as readonly DemandState[];
        const most = part.kind === 'rate' ? part.burst : part.limit;
        const excess = (state?.remaining ?? 0) - (most - Math.max(0, usedOf(group, demand)));
        if (excess > 0) takeOfShare(group, demand, excess);
      }
    },
    /** Redis counts again: nothing is held here any more. */
    end(group: Group): void {
      if (!group.alone) return;
      for (const id of group.open.keys()) local.settle(nameOf(group), id, nothing);
      group.alone = false;
    },
  };
}

const nothing: ReadonlyMap<string, number> = new Map();

export type StandIn = ReturnType<typeof createStandIn>;
