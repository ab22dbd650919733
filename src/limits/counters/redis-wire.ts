import {
  concurrencyRetryMs,
  type Decision,
  type Demand,
  type DemandState,
  type Refused,
} from './counters.ts';
import { blankView, roomAtMs, roomIn, viewWindow, type WindowCounts } from './sliding-window.ts';
import { millionths, msUntilLevel } from './token-bucket.ts';

/** A counter as Redis tells it. */
export type Raw =
  | { readonly kind: 'rate'; readonly level: number }
  | ({ readonly kind: 'window' } & Readonly<WindowCounts>)
  | { readonly kind: 'concurrent'; readonly held: number }
  | { readonly kind: 'budget'; readonly spent: number; readonly held: number; readonly known: boolean };

/** What is held of one counter: kind, name, amount, and the window's length or the budget's end. */
export type Hold = readonly [kind: 2 | 3 | 4, counter: string, amount: number, of: number];

/** The demands as the script reads them. @param amounts false: as if all were 0. */
export function encodeDemands(demands: readonly Demand[], amounts: boolean): string {
  return JSON.stringify(demands.map((demand) => encodeDemand(demand, amounts ? amountOf(demand) : 0)));
}

function encodeDemand(demand: Demand, amount: number): (string | number)[] {
  switch (demand.kind) {
    case 'rate':
      return [1, demand.counter, demand.milliPerSecond, demand.burst, amount];
    case 'window':
      return [2, demand.counter, demand.windowMs, demand.limit, amount, demand.reserved ? 1 : 0];
    case 'concurrent':
      return [3, demand.counter, demand.limit];
    case 'budget':
      return [4, demand.counter, demand.limit, amount];
  }
}

export const amountOf = (demand: Demand): number => (demand.kind === 'concurrent' ? 1 : demand.amount);

export function holdsOf(demands: readonly Demand[]): Hold[] {
  const holds: Hold[] = [];
  for (const demand of demands) {
    if (demand.kind === 'concurrent') holds.push([3, demand.counter, 1, 0]);
    else if (demand.kind === 'budget') holds.push([4, demand.counter, demand.amount, demand.endsAtMs]);
    else if (demand.kind === 'window' && demand.reserved)
      holds.push([2, demand.counter, demand.amount, demand.windowMs]);
  }
  return holds;
}

/** How long the group must be kept for these demands, milliseconds: until none of them says anything any more. */
export function neededMs(demands: readonly Demand[], nowMs: number): number {
  let ms = 600_000;
  for (const demand of demands) {
    if (demand.kind === 'window') ms = Math.max(ms, 2 * demand.windowMs);
    else if (demand.kind === 'budget') ms = Math.max(ms, demand.endsAtMs - nowMs + 86_400_000);
    else if (demand.kind === 'concurrent') ms = Math.max(ms, 86_400_000);
  }
  return ms;
}

/** The counters of a reply, which come after its first three fields. */
export function readRaw(demands: readonly Demand[], reply: readonly unknown[]): Raw[] {
  let at = 3;
  const next = () => Number(reply[at++]);
  return demands.map(({ kind }) => readOne(kind, next));
}

function readOne(kind: Demand['kind'], next: () => number): Raw {
  switch (kind) {
    case 'rate':
      return { kind, level: next() };
    case 'window':
      return { kind, index: next(), current: next(), previous: next(), held: next() };
    case 'concurrent':
      return { kind, held: next() };
    case 'budget':
      return { kind, spent: next(), held: next(), known: next() === 1 };
  }
}

/** Units free for this demand; negative when over. Fills the view for a window. */
function roomOf(demand: Demand, raw: Raw, nowMs: number, view = blankView()): number {
  if (demand.kind === 'rate' && raw.kind === 'rate') return Math.floor(raw.level / millionths);
  if (demand.kind === 'window' && raw.kind === 'window') {
    viewWindow(raw, demand.windowMs, nowMs, view);
    return roomIn(view, demand.limit);
  }
  if (demand.kind === 'concurrent' && raw.kind === 'concurrent') return demand.limit - raw.held;
  if (demand.kind === 'budget' && raw.kind === 'budget')
    return raw.known ? demand.limit - raw.spent - raw.held : 0;
  throw new Error(`The reply has no ${demand.kind} for ${demand.counter}.`);
}

export function statesOf(demands: readonly Demand[], raws: readonly Raw[], nowMs: number): DemandState[] {
  return demands.map((demand, i) => stateOf(demand, raws[i] as Raw, nowMs));
}

function stateOf(demand: Demand, raw: Raw, nowMs: number): DemandState {
  const view = blankView();
  const remaining = Math.max(0, roomOf(demand, raw, nowMs, view));
  switch (demand.kind) {
    case 'rate': {
      const level = raw.kind === 'rate' ? raw.level : 0;
      return { remaining, resetMs: msUntilLevel(demand.burst * millionths, level, demand.milliPerSecond) };
    }
    case 'window':
      return { remaining, resetMs: view.endsAtMs - nowMs };
    case 'concurrent':
      return { remaining, resetMs: 0 };
    case 'budget':
      return { remaining, resetMs: Math.max(0, demand.endsAtMs - nowMs) };
  }
}

/** @param exhausted index of the first demand without room; null: it was admitted. */
export function decisionOf(
  demands: readonly Demand[],
  raws: readonly Raw[],
  nowMs: number,
  exhausted: number | null,
  holds: boolean,
): Decision {
  const states = statesOf(demands, raws, nowMs);
  if (exhausted === null) return { outcome: 'admitted', states, holds };
  const demand = demands[exhausted] as Demand;
  return {
    outcome: 'refused',
    exhausted,
    states,
    ...whenRoom(demand, raws[exhausted] as Raw, nowMs),
  };
}

function whenRoom(demand: Demand, raw: Raw, nowMs: number): Pick<Refused, 'retryAfterMs' | 'heldByOthers'> {
  const view = blankView();
  const room = roomOf(demand, raw, nowMs, view);
  const held = raw.kind === 'window' || raw.kind === 'budget' ? raw.held : 0;
  switch (demand.kind) {
    case 'rate': {
      const level = raw.kind === 'rate' ? raw.level : 0;
      const ms = msUntilLevel(demand.amount * millionths, level, demand.milliPerSecond);
      return { retryAfterMs: demand.amount > demand.burst ? null : ms, heldByOthers: false };
    }
    case 'window': {
      const atMs = roomAtMs(view, demand.windowMs, demand.limit, demand.amount);
      const heldByOthers = demand.amount <= room + held;
      return { retryAfterMs: atMs === null ? null : Math.max(0, atMs - nowMs), heldByOthers };
    }
    case 'concurrent':
      return { retryAfterMs: demand.limit < 1 ? null : concurrencyRetryMs, heldByOthers: false };
    case 'budget':
      return {
        retryAfterMs: demand.amount > demand.limit ? null : Math.max(0, demand.endsAtMs - nowMs),
        heldByOthers: demand.amount <= room + held,
      };
  }
}
