import type { Demand } from './counters.ts';
import type { WindowCounts } from './sliding-window.ts';

interface Entry {
  readonly group: CounterGroup;
  readonly name: string;
  /** Its place in the table's list. */
  slot: number;
  /** Monotonic time from which on it says no more than a counter that is not there. */
  idleAtMs: number;
  /** What reservations hold of it. */
  held: number;
  /** Reservations that hold some of it, if only 0: while there are any it is not forgotten. */
  pins: number;
}

export interface RateCounter extends Entry {
  readonly kind: 'rate';
  /** Millionths of a unit. */
  level: number;
  atMs: number;
}

export interface WindowCounter extends Entry, WindowCounts {
  readonly kind: 'window';
}

export interface ConcurrencyCounter extends Entry {
  readonly kind: 'concurrent';
}

export interface BudgetCounter extends Entry {
  readonly kind: 'budget';
  base: number;
  /** Spent by this process, nano-dollars. */
  own: number;
  /** Processes that live besides this one: it waits for what they tell. */
  awaited: readonly string[];
  endsAtMs: number;
}

export type CounterEntry = RateCounter | WindowCounter | ConcurrencyCounter | BudgetCounter;

export interface CounterGroup {
  readonly name: string;
  readonly counters: Map<string, CounterEntry>;
  readonly reservations: Map<string, Reservation>;
}

/** What is held under one id. */
export interface Reservation {
  readonly demands: readonly Demand[];
  /** In the order of the demands. */
  readonly entries: readonly CounterEntry[];
}

export interface CounterTableOptions {
  /** Counters kept at most, over all groups. */
  readonly atMost: number;
  /** How long a counter stays after it has nothing more to say. */
  readonly keepIdleMs: number;
}

/** Looked at for each admission: more than one admission adds on average, so idle counters never pile up. */
const sweptPerAdmission = 8;
/** Looked at for something to put out when the table is full. */
const candidates = 32;

/**
 * All counters of this process, by group and name. Idle ones are put out a few at each admission, wherever the hand
 * stands, so that no admission ever waits for a sweep of all. When the table is full, the next that would become idle
 * among some candidates goes; what reservations hold stays, and so the table is bounded by `atMost` and the calls under way.
 */
export function createCounterTable({ atMost, keepIdleMs }: CounterTableOptions) {
  const groups = new Map<string, CounterGroup>();
  const entries: CounterEntry[] = [];
  let hand = 0;

  const remove = (entry: CounterEntry): void => {
    const last = entries.pop();
    if (last !== undefined && last !== entry) {
      entries[entry.slot] = last;
      last.slot = entry.slot;
    }
    entry.group.counters.delete(entry.name);
    dropEmpty(entry.group);
  };

  const dropEmpty = (group: CounterGroup): void => {
    if (group.counters.size === 0 && group.reservations.size === 0) groups.delete(group.name);
  };

  const next = (): CounterEntry | undefined => {
    hand = hand + 1 < entries.length ? hand + 1 : 0;
    return entries[hand];
  };

  const makeRoom = (): void => {
    let first: CounterEntry | undefined;
    for (let i = 0; i < candidates; i++) {
      const entry = next();
      if (entry === undefined || entry.pins > 0) continue;
      if (first === undefined || entry.idleAtMs < first.idleAtMs) first = entry;
    }
    if (first !== undefined) remove(first);
  };

  return {
    find: (group: string): CounterGroup | undefined => groups.get(group),

    open(name: string): CounterGroup {
      let group = groups.get(name);
      if (group === undefined) {
        group = { name, counters: new Map(), reservations: new Map() };
        groups.set(name, group);
      }
      return group;
    },

    add<E extends CounterEntry>(entry: E): E {
      entry.slot = entries.length;
      entries.push(entry);
      entry.group.counters.set(entry.name, entry);
      return entry;
    },

    /** Before an admission that may add so many counters: puts out some that have had nothing to say for `keepIdleMs`. */
    makeReady(adds: number, monotonicMs: number): void {
      const looks = Math.min(sweptPerAdmission, entries.length);
      for (let i = 0; i < looks; i++) {
        const entry = next();
        if (entry !== undefined && entry.pins === 0 && entry.idleAtMs + keepIdleMs <= monotonicMs)
          remove(entry);
      }
      for (let over = entries.length + adds - atMost; over > 0; over--) makeRoom();
    },

    dropEmpty,
    size: () => entries.length,
    groups: () => groups.size,
  };
}

export type CounterTable = ReturnType<typeof createCounterTable>;
