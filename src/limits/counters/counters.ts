/**
 * The counters behind limits and budgets (LIM-3, COST-3). There are two engines, in this process and on Redis, and both
 * decide as this file says and as the reference model in the tests computes; nothing else counts requests or money.
 *
 * All amounts and times are whole numbers below 2^53, so that JavaScript and Lua compute the same. Money is nano-dollars,
 * so one budget holds at most 9,000,000 dollars.
 *
 * Clocks are set back and forth, and counters go on. A refusal changes nothing but this: a counter whose own time lies
 * ahead of the clock, as each kind below says, is set to the clock. A look (`peek`) changes nothing at all.
 *
 * A counter that has had nothing to say for a while (a full bucket, a window two windows ago, nothing held, a period that
 * ended) is forgotten, which nobody notices unless the clock is set back or the demand's figures change meanwhile.
 *
 * Counters live in groups: a tenant's id, or `ip:<address>` where no tenant is known. One admission speaks of one group,
 * which on a Redis cluster is one slot.
 */

/** What one admission wants of one counter. */
export type Demand = RateDemand | WindowDemand | ConcurrencyDemand | BudgetDemand;

/**
 * Token bucket. A counter that is not known is full. Its level is kept in millionths of a unit and grows by
 * `milliPerSecond` of them per millisecond, up to `burst` units; it admits when `amount` units are there, and takes them.
 *
 * Now is `max(0, now - at)` after its last admission, `at`; an admission sets `at` to now, even to an earlier time than it
 * was, so that a clock that ran ahead and was set right does not stop the bucket from filling.
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
 *
 * With the counter's window at index i and now in window n: n = i + 1 makes `current` the previous one; n > i + 1 starts
 * both at 0; i = n + 1 (a clock set back a little) keeps window i with e = 0; i > n + 1 (a clock that had run ahead and was
 * set right) goes on in window n with the counts as they are. `held` belongs to no window: it counts until it is settled,
 * and what was used is then added to the window of that moment.
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

/**
 * So many at a time: one is held until the reservation is settled. Admits when `held + 1 <= limit`. When a call ends
 * nobody knows: its state says a reset of 0, and a refusal to try again in `concurrencyRetryMs`.
 */
export interface ConcurrencyDemand {
  readonly kind: 'concurrent';
  readonly counter: string;
  readonly limit: number;
}

/**
 * A budget's period. `amount` is held until the reservation is settled with what was really spent. Admits when
 * `spent + doubtful + held + amount <= limit`. The counter must be established first (`establish`): until then the answer
 * is `unknown`, so that a lost Redis never looks like an unspent budget. That is answered before any room is looked at.
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
  /** Names the reservation, in all groups and processes; never used for a second admission. */
  readonly id: string;
  /** In order of precedence: a refusal names the first one that has no room. At most `demandsAtMost`, no counter twice. */
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
  /**
   * The earliest time at which that demand could have room if nobody else came, milliseconds; null when it never can. For
   * a window what others hold is taken as spent by now; a budget has room when its period ends.
   */
  readonly retryAfterMs: number | null;
  /** Window or budget: there would be room if what others hold were not spent, so waiting a moment may help. */
  readonly heldByOthers: boolean;
}

/** Nothing was taken: these budgets' counters are not established. */
export interface Unknown {
  readonly outcome: 'unknown';
  readonly counters: readonly string[];
}

/**
 * What a settled reservation really came to, by counter; a counter that is absent came to 0. Budgets named here are charged
 * whether the reservation held them or not, windows only if it did.
 */
export type Actuals = ReadonlyMap<string, number>;

export interface Counters {
  /**
   * Takes and holds all that is demanded, or nothing. One step, whatever else goes on. In process the answer is there at
   * once; over Redis it is a promise. While Redis is away the engine decides by itself, or, where it is configured to refuse
   * then, the promise rejects with AppError `dependency_down`: nothing is taken, and the caller is told to come back.
   *
   * Reservations are leased: the engine renews those of this process, and those of a process that died return after
   * `leaseMs`. What a dead process held of a budget becomes `doubtful` instead, because the provider may have been paid:
   * it counts as spent until `forgetDoubt`.
   */
  admit(request: AdmissionRequest): Decision | Promise<Decision>;
  /**
   * Ends a reservation: what it held is free, what it came to is counted. Not to be waited for; told again until it has
   * arrived, and counted once however often it is told. A reservation that is not held changes nothing but budgets, of
   * which those count whose counters this process has established.
   */
  settle(group: string, id: string, actuals: Actuals): void;
  /** The counters as an admission of amount 0 would see them. An unknown budget has nothing left. */
  peek(group: string, demands: readonly Demand[]): readonly DemandState[] | Promise<readonly DemandState[]>;
  /**
   * Makes a budget's counter known. What each process spent is kept apart, so telling it again or in another order never
   * counts it twice: spent = `base` + the sum of what those among `writers` told; the last call decides base and writers.
   * A process that is not among them gets `unknown`, so that nobody's spending is overlooked.
   * @param base spent according to the ledger by processes that are not among `writers`, nano-dollars.
   * @param own spent by this process so far, nano-dollars; less than it told before changes nothing. Settlements add to it.
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

/**
 * Demands of one admission: a model call meets at most 8 limits of its tier and tenant, 48 of rules (two for each address,
 * user, key, route and model) and, beside them, its budgets.
 */
export const demandsAtMost = 128;
/** When to come back where only the end of somebody's call makes room. */
export const concurrencyRetryMs = 1_000;
/** How long a reservation outlives the last sign of life of its process. */
export const leaseMs = 10_000;
/** Expired reservations that one admission sweeps at most, oldest first. */
export const sweepAtMost = 100;
