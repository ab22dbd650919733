import type { Clock } from '../../platform/clock.ts';
import {
  type BudgetCounter,
  type ConcurrencyCounter,
  type CounterEntry,
  type CounterGroup,
  createCounterTable,
  type RateCounter,
  type WindowCounter,
} from './counter-table.ts';
import {
  type Actuals,
  type AdmissionRequest,
  type Counters,
  type Decision,
  type Demand,
  type DemandState,
  demandsAtMost,
  type EstablishedBudget,
} from './counters.ts';
import { addBudget, addConcurrency, addRate, addWindow } from './memory-entries.ts';
import { createReading, rateLevel } from './memory-reading.ts';
import { createRecentIds } from './recent-ids.ts';
import { millionths, msUntilLevel } from './token-bucket.ts';

export interface MemoryCountersOptions {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  /** This process. */
  readonly writer: string;
  /** Counters kept at most, over all groups, besides those that calls under way hold. */
  readonly atMost?: number;
  /** How long an idle counter stays: a clock set back by more may find it unused. */
  readonly keepIdleMs?: number;
}

/** The engine in this process: every answer is there at once. */
export interface MemoryCounters extends Counters {
  admit(request: AdmissionRequest): Decision;
  peek(group: string, demands: readonly Demand[]): readonly DemandState[];
  establish(group: string, counter: string, budget: EstablishedBudget): void;
  forgetDoubt(group: string, writer: string): void;
  /** Counters, and groups, in memory. */
  size(): { counters: number; groups: number };
}

/** About 40 MB: a counter takes some 200 bytes with its name. */
const defaultAtMost = 200_000;
const defaultKeepIdleMs = 60_000;
/** Settlements remembered, so that one told twice is counted once. */
const settledAtMost = 10_000;
const day = 86_400_000;
const nothingDemanded: Decision = Object.freeze({ outcome: 'admitted', states: [], holds: false });

/**
 * Counters of one process, as `counters.ts` says them. Nothing of it is written down: a restart starts anew, and budgets
 * are read from the ledger. A living process's reservations never expire, and a dead one's are gone with its memory, so
 * there are no leases here, and no doubt.
 */
export function createMemoryCounters(options: MemoryCountersOptions): MemoryCounters {
  const { clock, writer, atMost = defaultAtMost, keepIdleMs = defaultKeepIdleMs } = options;
  const table = createCounterTable({ atMost, keepIdleMs });
  const settled = createRecentIds(settledAtMost);
  const reading = createReading();
  /** The counters of the admission at hand, in the order of its demands. One at a time: there is no await. */
  const found: (CounterEntry | undefined)[] = [];

  const find = (group: CounterGroup | undefined, demand: Demand): void => {
    const entry = group?.counters.get(demand.counter);
    if (entry !== undefined && entry.kind !== demand.kind) {
      throw new Error(`The counter ${demand.counter} is a ${entry.kind}, not a ${demand.kind}.`);
    }
    found.push(entry);
  };

  const statesOf = (demands: readonly Demand[], nowMs: number): DemandState[] => {
    const states: DemandState[] = [];
    for (let i = 0; i < demands.length; i++)
      states.push(reading.stateOf(demands[i] as Demand, found[i], nowMs));
    return states;
  };

  const unknownBudgets = (demands: readonly Demand[]): string[] | undefined => {
    let unknown: string[] | undefined;
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i] as Demand;
      if (demand.kind !== 'budget' || isKnown(found[i])) continue;
      unknown ??= [];
      unknown.push(demand.counter);
    }
    return unknown;
  };

  const firstWithoutRoom = (demands: readonly Demand[], nowMs: number): number => {
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i] as Demand;
      if (amountOf(demand) > reading.roomOf(demand, found[i], nowMs)) return i;
    }
    return -1;
  };

  const refused = (demands: readonly Demand[], exhausted: number, nowMs: number): Decision => {
    const states = statesOf(demands, nowMs);
    const demand = demands[exhausted] as Demand;
    const entry = found[exhausted];
    const room = reading.roomOf(demand, entry, nowMs);
    const spendable = demand.kind === 'window' || demand.kind === 'budget';
    const heldByOthers = spendable && amountOf(demand) <= room + (entry?.held ?? 0);
    const retryAfterMs = reading.retryAfter(demand, entry, nowMs);
    for (let i = 0; i < demands.length; i++) setRight(demands[i] as Demand, found[i], nowMs);
    return { outcome: 'refused', exhausted, states, retryAfterMs, heldByOthers };
  };

  /** All that a refusal changes: counters whose time lies ahead of a clock that was set back go on from now. */
  const setRight = (demand: Demand, entry: CounterEntry | undefined, nowMs: number): void => {
    if (entry?.kind === 'rate' && entry.atMs > nowMs) entry.atMs = nowMs;
    if (demand.kind === 'window' && entry?.kind === 'window') {
      const nowIndex = Math.floor(nowMs / demand.windowMs);
      if (entry.index > nowIndex + 1) entry.index = nowIndex;
    }
  };

  const take = (group: CounterGroup, demand: Demand, i: number, nowMs: number, monoMs: number): void => {
    switch (demand.kind) {
      case 'rate': {
        const entry = (found[i] as RateCounter | undefined) ?? addRate(table, group, demand);
        found[i] = entry;
        entry.level = rateLevel(demand, entry, nowMs) - demand.amount * millionths;
        entry.atMs = nowMs;
        const full = demand.burst * millionths;
        entry.idleAtMs = monoMs + msUntilLevel(full, entry.level, demand.milliPerSecond);
        return;
      }
      case 'window': {
        const entry = (found[i] as WindowCounter | undefined) ?? addWindow(table, group, demand);
        found[i] = entry;
        reading.bringToNow(entry, demand, nowMs, monoMs);
        if (demand.reserved) entry.held += demand.amount;
        else entry.current += demand.amount;
        return;
      }
      case 'concurrent': {
        const entry = (found[i] as ConcurrencyCounter | undefined) ?? addConcurrency(table, group, demand);
        found[i] = entry;
        entry.held += 1;
        entry.idleAtMs = monoMs;
        return;
      }
      case 'budget': {
        const entry = found[i] as BudgetCounter;
        entry.held += demand.amount;
      }
    }
  };

  const reserve = (group: CounterGroup, id: string, demands: readonly Demand[]): boolean => {
    const held: Demand[] = [];
    const entries: CounterEntry[] = [];
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i] as Demand;
      const entry = found[i];
      if (entry === undefined || !holds(demand)) continue;
      entry.pins += 1;
      held.push(demand);
      entries.push(entry);
    }
    if (held.length === 0) return false;
    group.reservations.set(id, { demands: held, entries });
    return true;
  };

  return {
    admit({ group: name, id, demands }) {
      if (demands.length > demandsAtMost) throw new Error(`More than ${demandsAtMost} demands at once.`);
      if (demands.length === 0) return nothingDemanded;
      const nowMs = clock.now().getTime();
      const monoMs = clock.monotonicMs();
      table.makeReady(demands.length, monoMs);
      found.length = 0;
      const known = table.find(name);
      for (const demand of demands) find(known, demand);
      const unknown = unknownBudgets(demands);
      if (unknown !== undefined) return { outcome: 'unknown', counters: unknown };
      const exhausted = firstWithoutRoom(demands, nowMs);
      if (exhausted >= 0) return refused(demands, exhausted, nowMs);
      const group = known ?? table.open(name);
      if (group.reservations.has(id)) throw new Error(`The reservation ${id} is held already.`);
      for (let i = 0; i < demands.length; i++) take(group, demands[i] as Demand, i, nowMs, monoMs);
      const holds = reserve(group, id, demands);
      return { outcome: 'admitted', states: statesOf(demands, nowMs), holds };
    },

    settle(name, id, actuals) {
      const group = table.find(name);
      if (group === undefined) return;
      const reservation = group.reservations.get(id);
      if (reservation === undefined) {
        if (!settled.has(id)) spend(group, id, actuals);
        return;
      }
      group.reservations.delete(id);
      const nowMs = clock.now().getTime();
      const monoMs = clock.monotonicMs();
      const { demands, entries } = reservation;
      for (let i = 0; i < demands.length; i++) {
        const demand = demands[i] as Demand;
        const entry = entries[i] as CounterEntry;
        entry.held -= amountOf(demand);
        entry.pins -= 1;
        if (demand.kind === 'window') {
          reading.bringToNow(entry as WindowCounter, demand, nowMs, monoMs);
          (entry as WindowCounter).current += actuals.get(demand.counter) ?? 0;
        } else if (demand.kind === 'concurrent') entry.idleAtMs = monoMs;
      }
      spend(group, id, actuals);
    },

    peek(name, demands) {
      const nowMs = clock.now().getTime();
      found.length = 0;
      const group = table.find(name);
      for (const demand of demands) find(group, demand);
      return statesOf(demands, nowMs);
    },

    establish(name, counter, { base, own, writers, endsAtMs }) {
      const nowMs = clock.now().getTime();
      const monoMs = clock.monotonicMs();
      table.makeReady(1, monoMs);
      const group = table.open(name);
      const known = group.counters.get(counter);
      if (known !== undefined && known.kind !== 'budget')
        throw new Error(`The counter ${counter} is no budget.`);
      const entry = known ?? addBudget(table, group, counter);
      entry.base = base;
      entry.own = Math.max(entry.own, own);
      entry.awaited = writers.filter((other) => other !== writer);
      entry.endsAtMs = endsAtMs;
      entry.idleAtMs = monoMs + Math.min(Math.max(0, endsAtMs - nowMs), 400 * day);
    },

    forgetDoubt() {},
    size: () => ({ counters: table.size(), groups: table.groups() }),
  };

  /** Counts what a call came to against every budget that knows its counter. */
  function spend(group: CounterGroup, id: string, actuals: Actuals): void {
    let counted = false;
    for (const [counter, amount] of actuals) {
      const entry = group.counters.get(counter);
      if (entry?.kind !== 'budget') continue;
      entry.own += amount;
      counted = true;
    }
    if (counted) settled.add(id);
  }
}

const isKnown = (entry: CounterEntry | undefined): boolean =>
  entry?.kind === 'budget' && entry.awaited.length === 0;

const amountOf = (demand: Demand): number => (demand.kind === 'concurrent' ? 1 : demand.amount);

function holds(demand: Demand): boolean {
  return (
    demand.kind === 'concurrent' || demand.kind === 'budget' || (demand.kind === 'window' && demand.reserved)
  );
}
