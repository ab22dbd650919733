import type { Actuals, Demand } from './counters.ts';
import { headKey } from './redis-scripts.ts';
import { amountOf, type Hold, holdsOf, type Raw } from './redis-wire.ts';
import { levelNow, millionths } from './token-bucket.ts';

/** What was last heard of a counter, and when. Of budgets and concurrency it is only used while Redis is away. */
export interface Seen {
  readonly demand: Demand;
  readonly raw: Raw;
  readonly atMs: number;
}

/** A reservation of this process. */
export interface Open {
  readonly holds: readonly Hold[];
  /** As Redis keeps it. */
  readonly record: string;
  /** False: it was made here while Redis was away, and Redis has not heard of it yet. */
  inRedis: boolean;
}

/** [id, [[window's counter, actual]…]]: a reservation's end as the scripts read it. */
export type Settled = readonly [id: string, actuals: readonly (readonly [counter: string, amount: number])[]];

/** Something counted here: a rate's counter, millionths a ms, burst and units, or a window's counter, length, index and amount. */
export type Taken =
  | readonly [1, counter: string, milliPerSecond: number, burst: number, units: number]
  | readonly [2, counter: string, windowMs: number, index: number, amount: number];

/** An admission whose reply was lost: its number, whether it was admitted here instead, and what it takes. */
export type Unsure = readonly [sequence: number, admitted: 0 | 1, taken: readonly Taken[]];

/** Own spending on a budget. */
export interface Own {
  nanoUsd: number;
  endsAtMs: number;
}

/** What one push tells; once made it stays as it is until Redis has it, because told twice it counts once. */
export interface Push {
  readonly number: number;
  readonly seen: readonly (readonly (string | number)[])[];
  readonly taken: readonly Taken[];
  readonly unsure: readonly Unsure[];
  readonly own: readonly (readonly [counter: string, nanoUsd: number, endsAtMs: number])[];
  readonly settled: readonly Settled[];
}

/** Items of each list that one push tells at most; the rest goes with the next. */
const pushAtMost = 500;
/** Counters of one group of which it is remembered how they were. */
const seenAtMost = 4_096;
/** Settlements that wait for Redis. Beyond, the oldest are left to the end of their lease: nothing is counted that was not told. */
export const settledAtMost = 20_000;
/** Admissions with lost replies. Beyond, they count as if Redis had not heard of them: never less than there was. */
export const unsureAtMost = 5_000;

/** What this process knows of one group of counters, and what it has yet to tell Redis about it. */
export class Group {
  readonly name: string;
  readonly key: string;
  /** Which memory of the group Redis had when it was last asked; '' when it never was. */
  memory = '';
  /** Redis said that it has another memory than the one above. */
  lost = false;
  /** Counting goes through Redis as long as this is the engine's term. */
  term = -1;
  /** The connection on which everything that is open was told last. */
  connection = -1;
  /** Counts the times that counting went on here alone. */
  period = 0;
  /** Whether counting here alone has begun. */
  alone = false;
  readonly seen = new Map<string, Seen>();
  readonly open = new Map<string, Open>();
  readonly own = new Map<string, Own>();
  readonly toSettle: Settled[] = [];
  readonly toTell = new Set<string>();
  readonly toForget = new Set<string>();
  /** Units of rates, and amounts of windows by index, that were taken here alone. */
  readonly rates = new Map<string, { demand: Demand & { kind: 'rate' }; units: number }>();
  readonly windows = new Map<string, { windowMs: number; index: number; amount: number }>();
  readonly unsure: Unsure[] = [];
  /** Counters that the local limiter knows in this period. */
  readonly begun = new Set<string>();
  /** Of concurrency: how many at a time in this period. */
  readonly caps = new Map<string, number>();
  push: Push | null = null;
  syncing: Promise<boolean> | null = null;
  telling: Promise<void> | null = null;

  constructor(name: string) {
    this.name = name;
    this.key = headKey(name);
  }

  see(demands: readonly Demand[], raws: readonly Raw[], atMs: number): void {
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i] as Demand;
      this.seen.set(demand.counter, { demand, raw: raws[i] as Raw, atMs });
    }
    while (this.seen.size > seenAtMost) {
      const oldest = this.seen.keys().next();
      if (!oldest.done) this.seen.delete(oldest.value);
    }
  }

  hold(id: string, demands: readonly Demand[], writer: string, inRedis: boolean): boolean {
    const holds = holdsOf(demands);
    if (holds.length === 0) return false;
    this.open.set(id, { holds, record: recordOf(writer, holds), inRedis });
    return true;
  }

  /** Adds to what this process has spent. @returns whether there is something new to tell. */
  spend(actuals: Actuals): boolean {
    let spent = false;
    for (const [counter, amount] of actuals) {
      const own = this.own.get(counter);
      if (own === undefined) continue;
      own.nanoUsd += amount;
      this.toTell.add(counter);
      spent = true;
    }
    return spent;
  }

  settleLater(settled: Settled): void {
    this.toSettle.push(settled);
    if (this.toSettle.length > settledAtMost) this.toSettle.shift();
  }

  /** Keeps what was taken here alone, to be told. */
  take(demands: readonly Demand[], nowMs: number): void {
    for (const taken of takenBy(demands, nowMs)) {
      if (taken[0] === 2) {
        this.takeWindow(taken[1], taken[2], taken[3], taken[4]);
        continue;
      }
      const demand = demands.find(({ counter }) => counter === taken[1]);
      if (demand?.kind !== 'rate') continue;
      this.rates.set(taken[1], { demand, units: (this.rates.get(taken[1])?.units ?? 0) + taken[4] });
    }
  }

  takeWindow(counter: string, windowMs: number, index: number, amount: number): void {
    const name = `${counter} ${index}`;
    const before = this.windows.get(name);
    this.windows.set(name, { windowMs, index, amount: (before?.amount ?? 0) + amount });
    // Two windows ago nothing is looked at any more.
    this.windows.delete(`${counter} ${index - 2}`);
  }

  /** Nothing that only this process knows. */
  get isClean(): boolean {
    return (
      this.push === null &&
      this.rates.size === 0 &&
      this.windows.size === 0 &&
      this.unsure.length === 0 &&
      this.toSettle.length === 0 &&
      this.toTell.size === 0 &&
      this.toForget.size === 0 &&
      !this.lost
    );
  }

  /** Whether Redis has to be told something before it can decide, on this connection. */
  needsSync(connection: number): boolean {
    if (!this.isClean) return true;
    if (this.connection === connection) return false;
    return this.open.size > 0 || (this.own.size > 0 && this.memory !== '');
  }

  get isInUse(): boolean {
    return this.open.size > 0 || this.own.size > 0;
  }

  /** Whether it can be forgotten. */
  get isIdle(): boolean {
    return this.isClean && !this.isInUse;
  }

  /**
   * Moves what is to be told into a push.
   * @param missingOf units that a rate's local bucket is short of: more than that was not taken in excess of its rate.
   */
  makePush(number: number, nowMs: number, missingOf: (demand: Demand & { kind: 'rate' }) => number): Push {
    const taken: Taken[] = [];
    for (const [counter, { demand, units }] of this.rates) {
      const amount = Math.min(units, missingOf(demand));
      if (amount > 0) taken.push([1, counter, demand.milliPerSecond, demand.burst, amount]);
    }
    for (const [name, { windowMs, index, amount }] of this.windows)
      taken.push([2, name.slice(0, name.lastIndexOf(' ')), windowMs, index, amount]);
    const seen = this.seenForPush(nowMs);
    this.rates.clear();
    this.windows.clear();
    for (const line of taken) this.seeTaken(line, nowMs);
    for (const counter of this.own.keys()) this.toTell.add(counter);
    const push = {
      number,
      seen,
      taken,
      unsure: this.unsure.splice(0, pushAtMost),
      own: this.tellOwn(),
      settled: this.toSettle.splice(0, pushAtMost),
    };
    this.push = push;
    return push;
  }

  /** Takes what is to be told of budgets. */
  tellOwn(): (readonly [string, number, number])[] {
    const told = [...this.toTell].flatMap((counter) => {
      const own = this.own.get(counter);
      return own === undefined ? [] : [[counter, own.nanoUsd, own.endsAtMs] as const];
    });
    this.toTell.clear();
    return told;
  }

  /** Should Redis go away again before it was asked, what was taken here is not taken once more. */
  private seeTaken(taken: Taken, nowMs: number): void {
    const [, counter] = taken;
    const seen = this.seen.get(counter);
    if (seen === undefined) return;
    const { demand, raw } = seen;
    if (taken[0] === 1 && demand.kind === 'rate' && raw.kind === 'rate') {
      const level = levelNow(raw.level, seen.atMs, nowMs, demand.milliPerSecond, demand.burst);
      const left = { kind: 'rate', level: Math.max(0, level - taken[4] * millionths) } as const;
      this.seen.set(counter, { demand, raw: left, atMs: nowMs });
    } else if (taken[0] === 2 && demand.kind === 'window' && raw.kind === 'window') {
      const [, , , index, amount] = taken;
      const { held } = raw;
      const current = (raw.index === index ? raw.current : 0) + amount;
      const before = raw.index === index - 1 ? raw.current : 0;
      const previous = raw.index === index ? raw.previous : before;
      if (raw.index <= index)
        this.seen.set(counter, {
          demand,
          raw: { kind: 'window', index, current, previous, held },
          atMs: nowMs,
        });
    }
  }

  private seenForPush(nowMs: number): (string | number)[][] {
    const lines: (string | number)[][] = [];
    for (const [counter, { demand, raw, atMs }] of this.seen) {
      if (demand.kind === 'rate' && raw.kind === 'rate') {
        const { milliPerSecond, burst } = demand;
        if (levelNow(raw.level, atMs, nowMs, milliPerSecond, burst) < burst * millionths)
          lines.push([1, counter, milliPerSecond, burst, raw.level, atMs]);
      } else if (demand.kind === 'window' && raw.kind === 'window' && raw.current + raw.previous > 0) {
        if ((raw.index + 2) * demand.windowMs > nowMs)
          lines.push([2, counter, demand.windowMs, raw.index, raw.current, raw.previous]);
      }
    }
    return lines;
  }
}

/** What an admission takes at once, in the windows of this time. */
export function takenBy(demands: readonly Demand[], nowMs: number): Taken[] {
  return demands.flatMap((demand): Taken[] => {
    const amount = amountOf(demand);
    if (amount === 0) return [];
    if (demand.kind === 'rate') return [[1, demand.counter, demand.milliPerSecond, demand.burst, amount]];
    if (demand.kind === 'window' && !demand.reserved)
      return [[2, demand.counter, demand.windowMs, Math.floor(nowMs / demand.windowMs), amount]];
    return [];
  });
}

const recordOf = (writer: string, holds: readonly Hold[]): string => JSON.stringify([writer, holds]);
