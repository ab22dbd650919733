import type { BudgetCounter, CounterEntry, RateCounter, WindowCounter } from './counter-table.ts';
import { concurrencyRetryMs, type Demand, type DemandState, type RateDemand } from './counters.ts';
import { blankView, roomAtMs, roomIn, viewWindow } from './sliding-window.ts';
import { levelNow, millionths, msUntilLevel } from './token-bucket.ts';

/**
 * What one counter in memory says of one demand at a moment: the room there is, when it is whole again, when to come back.
 * A demand whose counter does not exist yet is given undefined, and finds it unused. Answers come without allocating, over
 * one view of a window that the next question overwrites, so a reading is for one engine, which asks without awaiting.
 */
export function createReading() {
  const view = blankView();

  /** Units free for this demand; negative when over. */
  const roomOf = (demand: Demand, entry: CounterEntry | undefined, nowMs: number): number => {
    switch (demand.kind) {
      case 'rate':
        return Math.floor(rateLevel(demand, entry as RateCounter | undefined, nowMs) / millionths);
      case 'window':
        viewWindow(entry as WindowCounter | undefined, demand.windowMs, nowMs, view);
        return roomIn(view, demand.limit);
      case 'concurrent':
        return demand.limit - (entry?.held ?? 0);
      case 'budget':
        return entry === undefined ? 0 : demand.limit - spentOf(entry as BudgetCounter) - entry.held;
    }
  };

  const stateOf = (demand: Demand, entry: CounterEntry | undefined, nowMs: number): DemandState => {
    const room = roomOf(demand, entry, nowMs);
    return { remaining: Math.max(room, 0), resetMs: resetOf(demand, entry, nowMs) };
  };

  /** For a window, after `roomOf`, which filled the view. */
  const resetOf = (demand: Demand, entry: CounterEntry | undefined, nowMs: number): number => {
    switch (demand.kind) {
      case 'rate': {
        const level = rateLevel(demand, entry as RateCounter | undefined, nowMs);
        return msUntilLevel(demand.burst * millionths, level, demand.milliPerSecond);
      }
      case 'window':
        return view.endsAtMs - nowMs;
      case 'concurrent':
        return 0;
      case 'budget':
        return Math.max(0, demand.endsAtMs - nowMs);
    }
  };

  /** For a window, after `roomOf`. */
  const retryAfter = (demand: Demand, entry: CounterEntry | undefined, nowMs: number): number | null => {
    switch (demand.kind) {
      case 'rate': {
        if (demand.amount > demand.burst) return null;
        const level = rateLevel(demand, entry as RateCounter | undefined, nowMs);
        return msUntilLevel(demand.amount * millionths, level, demand.milliPerSecond);
      }
      case 'window': {
        const atMs = roomAtMs(view, demand.windowMs, demand.limit, demand.amount);
        return atMs === null ? null : Math.max(0, atMs - nowMs);
      }
      case 'concurrent':
        return demand.limit < 1 ? null : concurrencyRetryMs;
      case 'budget':
        return demand.amount > demand.limit ? null : Math.max(0, demand.endsAtMs - nowMs);
    }
  };

  /** Moves a window on to now; its counts are those of the view then. */
  const bringToNow = (
    entry: WindowCounter,
    demand: { readonly windowMs: number },
    nowMs: number,
    monoMs: number,
  ): void => {
    viewWindow(entry, demand.windowMs, nowMs, view);
    entry.index = view.index;
    entry.previous = view.previous;
    entry.current = view.current;
    entry.idleAtMs = monoMs + view.endsAtMs + demand.windowMs - nowMs;
  };

  return { roomOf, stateOf, retryAfter, bringToNow };
}

/** Millionths of a unit in the bucket. */
export function rateLevel(demand: RateDemand, entry: RateCounter | undefined, nowMs: number): number {
  return levelNow(entry?.level, entry?.atMs ?? 0, nowMs, demand.milliPerSecond, demand.burst);
}

const spentOf = (entry: BudgetCounter): number => entry.base + entry.own;
