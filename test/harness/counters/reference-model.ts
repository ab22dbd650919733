import {
  type Actuals,
  type AdmissionRequest,
  concurrencyRetryMs,
  type Decision,
  type Demand,
  type DemandState,
  type EstablishedBudget,
  leaseMs,
} from '../../../src/limits/counters/counters.ts';

/**
 * What `counters.ts` says, as plainly as it can be computed: whole numbers of any size, no forgetting, no haste. The
 * engines are checked against it. `now` is always given, and so is who speaks.
 */
export interface ReferenceModel {
  admit(writer: string, now: number, request: AdmissionRequest): Decision;
  settle(writer: string, now: number, group: string, id: string, actuals: Actuals): void;
  peek(writer: string, now: number, group: string, demands: readonly Demand[]): readonly DemandState[];
  establish(writer: string, group: string, counter: string, budget: EstablishedBudget): void;
  /** All that this dead process holds is free, and nothing of it in doubt. */
  forgetDoubt(now: number, group: string, writer: string): void;
  /** A sign of life: what this process holds is leased anew. */
  renew(writer: string, now: number): void;
  /** The memory of all counters is gone. */
  lose(): void;
}

interface Held {
  readonly id: string;
  readonly writer: string;
  readonly demands: readonly Demand[];
  leasedUntil: number;
}

interface Budget {
  base: bigint;
  writers: readonly string[];
  readonly told: Map<string, bigint>;
}

interface WindowAt {
  index: bigint;
  previous: bigint;
  current: bigint;
}

interface Group {
  readonly levels: Map<string, { level: bigint; at: bigint }>;
  readonly windows: Map<string, WindowAt>;
  readonly budgets: Map<string, Budget>;
  readonly held: Held[];
  readonly doubtful: Held[];
}

const million = 1_000_000n;
const least = (a: bigint, b: bigint) => (a < b ? a : b);
const most = (a: bigint, b: bigint) => (a > b ? a : b);
const floorDiv = (a: bigint, b: bigint) => (a >= 0n ? a / b : -((-a + b - 1n) / b));
const ceilDiv = (a: bigint, b: bigint) => -floorDiv(-a, b);

/** @param leases false: what a process holds is held as long as it lives, as in the engine in process. */
export function createReferenceModel({ leases }: { readonly leases: boolean }): ReferenceModel {
  let groups = new Map<string, Group>();
  const settled = new Set<string>();

  const groupOf = (name: string): Group => {
    const group = groups.get(name) ?? {
      levels: new Map(),
      windows: new Map(),
      budgets: new Map(),
      held: [],
      doubtful: [],
    };
    groups.set(name, group);
    return group;
  };

  const sweep = (group: Group, now: number): void => {
    if (!leases) return;
    for (const reservation of group.held.filter(({ leasedUntil }) => leasedUntil <= now)) {
      remove(group.held, reservation);
      bringWindowsToNow(group, reservation, now);
      if (reservation.demands.some(({ kind }) => kind === 'budget')) group.doubtful.push(reservation);
    }
  };

  return {
    admit(writer, now, request) {
      const group = groupOf(request.group);
      sweep(group, now);
      const { demands } = request;
      const unknown = demands.filter((d) => d.kind === 'budget' && !isKnown(group, writer, d.counter));
      if (unknown.length > 0) return { outcome: 'unknown', counters: unknown.map((d) => d.counter) };
      const exhausted = demands.findIndex((demand) => amountOf(demand) > room(group, demand, now));
      if (exhausted >= 0) {
        const demand = demands[exhausted] as Demand;
        const refused = {
          outcome: 'refused' as const,
          exhausted,
          states: demands.map((d) => stateOf(group, writer, d, now)),
          retryAfterMs: retryAfter(group, demand, now),
          heldByOthers:
            (demand.kind === 'window' || demand.kind === 'budget') &&
            amountOf(demand) <= room(group, demand, now) + heldOf(group, demand.counter),
        };
        for (const d of demands) setRight(group, d, now);
        return refused;
      }
      for (const demand of demands) take(group, demand, now);
      const holding = demands.filter(holds);
      const leasedUntil = now + leaseMs;
      if (holding.length > 0) group.held.push({ id: request.id, writer, demands: holding, leasedUntil });
      return {
        outcome: 'admitted',
        states: demands.map((d) => stateOf(group, writer, d, now)),
        holds: holding.length > 0,
      };
    },

    settle(writer, now, name, id, actuals) {
      const group = groupOf(name);
      const reservation = group.held.find((held) => held.id === id);
      if (reservation) {
        remove(group.held, reservation);
        bringWindowsToNow(group, reservation, now);
        for (const demand of reservation.demands) {
          if (demand.kind !== 'window') continue;
          windowIn(group, demand.counter).current += BigInt(actuals.get(demand.counter) ?? 0);
        }
      }
      const doubtful = group.doubtful.find((held) => held.id === id);
      if (doubtful) remove(group.doubtful, doubtful);
      if (settled.has(id)) return;
      settled.add(id);
      for (const [counter, amount] of actuals) {
        const budget = group.budgets.get(counter);
        const told = budget?.told.get(writer);
        if (budget && told !== undefined) budget.told.set(writer, told + BigInt(amount));
      }
    },

    peek(writer, now, name, demands) {
      const group = groupOf(name);
      sweep(group, now);
      return demands.map((demand) => stateOf(group, writer, demand, now));
    },

    establish(writer, name, counter, { base, own, writers }) {
      const group = groupOf(name);
      const told = new Map(
        [...(group.budgets.get(counter)?.told ?? [])].filter(([other]) => writers.includes(other)),
      );
      told.set(writer, most(told.get(writer) ?? 0n, BigInt(own)));
      group.budgets.set(counter, { base: BigInt(base), writers: [...writers], told });
    },

    forgetDoubt(now, name, writer) {
      const group = groupOf(name);
      for (const held of group.doubtful.filter((h) => h.writer === writer)) remove(group.doubtful, held);
      for (const held of group.held.filter((h) => h.writer === writer)) {
        remove(group.held, held);
        bringWindowsToNow(group, held, now);
      }
    },

    renew(writer, now) {
      for (const group of groups.values()) {
        for (const held of group.held) if (held.writer === writer) held.leasedUntil = now + leaseMs;
      }
    },

    lose() {
      groups = new Map();
    },
  };
}

function isKnown(group: Group, writer: string, counter: string): boolean {
  const budget = group.budgets.get(counter);
  if (!budget?.writers.includes(writer)) return false;
  return budget.writers.every((other) => budget.told.has(other));
}

const holds = (demand: Demand): boolean =>
  demand.kind === 'concurrent' || demand.kind === 'budget' || (demand.kind === 'window' && demand.reserved);

const amountOf = (demand: Demand): bigint => (demand.kind === 'concurrent' ? 1n : BigInt(demand.amount));

const totalHeld = (reservations: readonly Held[], counter: string): bigint =>
  reservations
    .flatMap(({ demands }) => demands)
    .filter((demand) => demand.counter === counter)
    .reduce((sum, demand) => sum + amountOf(demand), 0n);

const heldOf = (group: Group, counter: string): bigint => totalHeld(group.held, counter);

function levelOf(group: Group, demand: Demand & { kind: 'rate' }, now: number): bigint {
  const full = BigInt(demand.burst) * million;
  const bucket = group.levels.get(demand.counter);
  if (!bucket) return full;
  return least(full, bucket.level + most(0n, BigInt(now) - bucket.at) * BigInt(demand.milliPerSecond));
}

function windowIn(group: Group, counter: string): WindowAt {
  const window = group.windows.get(counter) ?? { index: 0n, previous: 0n, current: 0n };
  group.windows.set(counter, window);
  return window;
}

/** The window as now sees it. */
function windowNow(
  group: Group,
  demand: Demand & { kind: 'window' },
  now: number,
): WindowAt & { gone: bigint } {
  const ms = BigInt(demand.windowMs);
  const n = BigInt(now) / ms;
  const unit = unitOf(demand);
  const gone = (BigInt(now) - n * ms) / unit;
  const stored = group.windows.get(demand.counter);
  if (!stored || n > stored.index + 1n) return { index: n, previous: 0n, current: 0n, gone };
  if (n === stored.index + 1n) return { index: n, previous: stored.current, current: 0n, gone };
  if (stored.index === n + 1n) return { ...stored, gone: 0n };
  return { ...stored, index: n, gone };
}

const unitOf = (demand: { windowMs: number }): bigint => (demand.windowMs < 3_600_000 ? 1n : 1000n);

function bringWindowsToNow(group: Group, reservation: Held, now: number): void {
  for (const demand of reservation.demands) {
    if (demand.kind !== 'window') continue;
    const { index, previous, current } = windowNow(group, demand, now);
    group.windows.set(demand.counter, { index, previous, current });
  }
}

/** What is free for this demand; negative when over. */
function room(group: Group, demand: Demand, now: number): bigint {
  const held = heldOf(group, demand.counter);
  switch (demand.kind) {
    case 'rate':
      return floorDiv(levelOf(group, demand, now), million);
    case 'window': {
      const w = BigInt(demand.windowMs) / unitOf(demand);
      const { previous, current, gone } = windowNow(group, demand, now);
      // The largest amount for which previous * (w - e) + (current + held + amount) * w <= limit * w.
      return floorDiv(BigInt(demand.limit) * w - previous * (w - gone) - (current + held) * w, w);
    }
    case 'concurrent':
      return BigInt(demand.limit) - held;
    case 'budget': {
      const budget = group.budgets.get(demand.counter);
      const spent = [...(budget?.told.values() ?? [])].reduce((sum, told) => sum + told, budget?.base ?? 0n);
      return BigInt(demand.limit) - spent - totalHeld(group.doubtful, demand.counter) - held;
    }
  }
}

function stateOf(group: Group, writer: string, demand: Demand, now: number): DemandState {
  const known = demand.kind !== 'budget' || isKnown(group, writer, demand.counter);
  const remaining = known ? Number(most(0n, room(group, demand, now))) : 0;
  return { remaining, resetMs: Number(resetOf(group, demand, now)) };
}

function resetOf(group: Group, demand: Demand, now: number): bigint {
  switch (demand.kind) {
    case 'rate': {
      const missing = BigInt(demand.burst) * million - levelOf(group, demand, now);
      return ceilDiv(missing, BigInt(demand.milliPerSecond));
    }
    case 'window':
      return (windowNow(group, demand, now).index + 1n) * BigInt(demand.windowMs) - BigInt(now);
    case 'concurrent':
      return 0n;
    case 'budget':
      return most(0n, BigInt(demand.endsAtMs) - BigInt(now));
  }
}

function retryAfter(group: Group, demand: Demand, now: number): number | null {
  switch (demand.kind) {
    case 'rate': {
      if (demand.amount > demand.burst) return null;
      const missing = BigInt(demand.amount) * million - levelOf(group, demand, now);
      return Number(most(0n, ceilDiv(missing, BigInt(demand.milliPerSecond))));
    }
    case 'window':
      return windowRetry(group, demand, now);
    case 'concurrent':
      return demand.limit < 1 ? null : concurrencyRetryMs;
    case 'budget':
      return demand.amount > demand.limit ? null : Math.max(0, demand.endsAtMs - now);
  }
}

/** Looks for the first unit of time, from the window's beginning, at which there would be room. */
function windowRetry(group: Group, demand: Demand & { kind: 'window' }, now: number): number | null {
  if (demand.amount > demand.limit) return null;
  const unit = unitOf(demand);
  const w = BigInt(demand.windowMs) / unit;
  const { index, previous, current } = windowNow(group, demand, now);
  const spent = current + heldOf(group, demand.counter);
  const fits = (e: bigint): boolean => {
    const before = e < w ? previous : e < 2n * w ? spent : 0n;
    const inWindow = e < w ? spent : 0n;
    const gone = e % w;
    return before * (w - gone) + (inWindow + BigInt(demand.amount)) * w <= BigInt(demand.limit) * w;
  };
  // Room only grows while nobody comes, so the first moment is found by halving.
  let [no, yes] = [-1n, 2n * w];
  while (yes - no > 1n) {
    const middle = (no + yes) / 2n;
    if (fits(middle)) yes = middle;
    else no = middle;
  }
  return Number(most(0n, index * BigInt(demand.windowMs) + yes * unit - BigInt(now)));
}

function take(group: Group, demand: Demand, now: number): void {
  if (demand.kind === 'rate') {
    const level = levelOf(group, demand, now) - amountOf(demand) * million;
    group.levels.set(demand.counter, { level, at: BigInt(now) });
  }
  if (demand.kind === 'window') {
    const { index, previous, current } = windowNow(group, demand, now);
    const taken = demand.reserved ? 0n : amountOf(demand);
    group.windows.set(demand.counter, { index, previous, current: current + taken });
  }
}

/** All that a refusal changes. */
function setRight(group: Group, demand: Demand, now: number): void {
  const bucket = group.levels.get(demand.counter);
  if (demand.kind === 'rate' && bucket && bucket.at > BigInt(now)) bucket.at = BigInt(now);
  const window = group.windows.get(demand.counter);
  if (demand.kind === 'window' && window) {
    const n = BigInt(now) / BigInt(demand.windowMs);
    if (window.index > n + 1n) window.index = n;
  }
}

function remove<T>(list: T[], item: T): void {
  list.splice(list.indexOf(item), 1);
}
