/**
 * The counters behind limits and budgets (LIM-3, COST-3). There are two engines, in this process and on Redis, and both
 * decide as this file says and as the reference model in the tests computes; nothing else counts requests or money.
 *
 * All amounts and times are whole numbers below 2^53, so that JavaScript and Lua compute the same. Money is nano-dollars,
 * so one budget holds at most 9,000,000 dollars.
 *
 * Counters live in groups: a tenant's id, or `ip:<address>` where no tenant is known. One admission speaks of one group,
 * which on a Redis cluster is one slot.
 */

/** What one admission wants of one counter. */
export type Demand = RateDemand | WindowDemand | ConcurrencyDemand | BudgetDemand;

/**
 * Token bucket. A counter that is not known is full. Its level is kept in millionths of a unit and grows by
 * `milliPerSecond` of them per millisecond, up to `burst` units; it admits when `amount` units are there, and takes them.
 */
export interface RateDemand {
  readonly kind: 'rate';
  /** Names the counter within its group. */
  readonly counter: string;
  /** Thousandths of a unit per second, from 1 to 10^9. */
  readonly milliPerSecond: number;
  /** Units, from 1 to 10^6. */
  readonly burst: number;
  readonly amount: number;
}

/**
 * Sliding window by two fixed ones: with `e` of a window of `w` gone, it admits when
 * `previous * (w - e) + (current + held + amount) * w <= limit * w`. Windows begin at multiples of `windowMs` since the
 * epoch; `w` and `e` are in milliseconds below an hour, and in whole seconds from an hour on.
 */
export interface WindowDemand {
  readonly kind: 'window';
  readonly counter: string;
  readonly windowMs: number;
  /** At most 10^9 for windows below an hour, 10^11 for longer ones. */
  readonly limit: number;
  readonly amount: number;
  /** True: `amount` is held until the reservation is settled with what was really used (tokens). False: taken at once. */
  readonly reserved: boolean;
}

/** So many at a time: one is held until the reservation is settled. Admits when `held + 1 <= limit`. */
export interface ConcurrencyDemand {
  readonly kind: 'concurrent';
  readonly counter: string;
  readonly limit: number;
}

/**
 * A budget's period. `amount` is held until the reservation is settled with what was really spent. Admits when
 * `spent + doubtful + held + amount <= limit`. The counter must be established first (`establish`): until then the answer
 * is `unknown`, so that a lost Redis never looks like an unspent budget.
 */
export interface BudgetDemand {
  readonly kind: 'budget';
  /** Names the budget and its period, `budget:<id>:<start of period>`. */
  readonly counter: string;
  readonly limit: number;
  readonly amount: number;
  /** The period's end, milliseconds since the epoch. */
  readonly endsAtMs: number;
}

export interface AdmissionRequest {
  readonly group: string;
  /** Names the reservation, in all groups and processes. */
  readonly id: string;
  /** In order of precedence: a refusal names the first one that has no room. At most 64. */
  readonly demands: readonly Demand[];
}

/** A counter as an admission left it, or as a refusal found it. In the order of the demands. */
export interface DemandState {
  /** What is free now: units, requests, tokens, calls or nano-dollars; never below 0. */
  readonly remaining: number;
  /** Until the counter is as if unused (rate: full; window: the fixed window ends; budget: the period ends), milliseconds. */
  readonly resetMs: number;
}

export type Decision = Admitted | Refused | Unknown;

export interface Admitted {
  readonly outcome: 'admitted';
  readonly states: readonly DemandState[];
  /** Something is held, so the call must be settled. */
  readonly holds: boolean;
}

/** Nothing was taken and nothing is held. */
export interface Refused {
  readonly outcome: 'refused';
  /** Index of the first demand without room. */
  readonly exhausted: number;
  readonly states: readonly DemandState[];
  /** The earliest time at which that demand could have room if nobody else came, milliseconds; null when it never can. */
  readonly retryAfterMs: number | null;
  /** There would be room if what others hold were not spent in the end: waiting a moment may help. */
  readonly heldByOthers: boolean;
}

/** Nothing was taken: these budgets' counters are not established. */
export interface Unknown {
  readonly outcome: 'unknown';
  readonly counters: readonly string[];
}

/** What a settled reservation really came to, by counter; a counter that is absent came to 0. */
export type Actuals = ReadonlyMap<string, number>;

export interface Counters {
  /**
   * Takes and holds all that is demanded, or nothing. One step, whatever else goes on. In process the answer is there at
   * once; over Redis it is a promise, which never rejects for Redis' sake: what stands in then is the engine's matter.
   *
   * Reservations are leased: the engine renews those of this process, and those of a process that died return after
   * `leaseMs`. What a dead process held of a budget becomes `doubtful` instead, because the provider may have been paid:
   * it counts as spent until `forgetDoubt`.
   */
  admit(request: AdmissionRequest): Decision | Promise<Decision>;
  /**
   * Ends a reservation: what it held is free, what it came to is counted. Not to be waited for; told again until it has
   * arrived, and counted once however often it is told. A reservation that is not held changes nothing but budgets.
   */
  settle(group: string, id: string, actuals: Actuals): void;
  /** The counters as an admission of amount 0 would see them. */
  peek(group: string, demands: readonly Demand[]): readonly DemandState[] | Promise<readonly DemandState[]>;
  /**
   * Makes a budget's counter known. What each process spent is kept apart, so telling it again or in another order never
   * counts it twice: spent = `base` + the sum of what every writer told.
   * @param base spent according to the ledger by processes that are not among `writers`, nano-dollars.
   * @param own spent by this process so far, nano-dollars. Later settlements add to it.
   * @param writers the processes that live; the counter is known when each has told its own (this one by this call).
   */
  establish(group: string, counter: string, budget: EstablishedBudget): void | Promise<void>;
  /** Takes back what a dead process held: its rows are in the ledger now. */
  forgetDoubt(group: string, writer: string): void | Promise<void>;
}

export interface EstablishedBudget {
  readonly base: number;
  readonly own: number;
  readonly writers: readonly string[];
  readonly endsAtMs: number;
}

/** How long a reservation outlives the last sign of life of its process. */
export const leaseMs = 10_000;
/** Expired reservations that one admission sweeps at most, oldest first. */
export const sweepAtMost = 100;
