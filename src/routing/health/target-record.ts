import type { Provider, ProviderKey } from '../resolution.ts';
import { Breaker, type BreakerRules, type BreakerState } from './breaker.ts';
import { RecentMinutes } from './recent-minutes.ts';

/** How a target is, as far as this instance knows. Times are wall clock. */
export interface TargetStatus {
  readonly provider: Provider;
  readonly model: string;
  readonly state: BreakerState;
  /** When it came into that state; null: it has been closed ever since it was first used. */
  readonly since: Date | null;
  /** No call goes there before. */
  readonly openUntil: Date | null;
  readonly consecutiveFailures: number;
  readonly lastFailure: { readonly at: Date; readonly reason: string } | null;
  readonly inFlight: number;
  /** Milliseconds, as `TargetHealth.latencyMs`. */
  readonly latencyMs: number | null;
  /** Of the last five minutes. */
  readonly attempts: number;
  readonly failures: number;
}

/** One of a provider's keys, as far as one model is concerned: limits are set for both together. */
export interface KeyRecord {
  /** Null for a provider that asks for none. */
  readonly key: ProviderKey | null;
  /** Its share of the calls. */
  readonly weight: number;
  readonly breaker: Breaker;
  /** The last time that it was refused, that was for a limit. */
  limited: boolean;
  /** Until then its limit is not full again, so another key is the better choice; by the monotonic clock. */
  lowUntilMs: number;
}

/** Share of a new value in the running mean: about the last ten count. */
const newValueShare = 0.2;
/** Attempts that `doubt` looks back at, as bits of a 32-bit number. */
const attemptsLookedAt = 25;
const attemptsMask = (1 << attemptsLookedAt) - 1;

/** What is known of one model at one provider. */
export class TargetRecord {
  readonly provider: Provider;
  readonly model: string;
  readonly breaker: Breaker;
  readonly keys: readonly KeyRecord[];
  readonly minutes = new RecentMinutes();
  inFlight = 0;
  readonly #rules: BreakerRules;
  #streamMs: number | null = null;
  #wholeMs: number | null = null;
  /** One bit for each of the last attempts, the youngest lowest: set when it failed. */
  #outcomes = 0;
  #lastFailureMs = 0;
  #lastFailure: { reason: string } | null = null;

  constructor(
    provider: Provider,
    model: string,
    rules: BreakerRules,
    changed: (record: TargetRecord, breaker: Breaker) => void,
  ) {
    this.provider = provider;
    this.model = model;
    this.#rules = rules;
    const newBreaker = () => {
      const breaker: Breaker = new Breaker(rules, () => changed(this, breaker));
      return breaker;
    };
    this.breaker = newBreaker();
    const keys = provider.keys.length === 0 ? [null] : provider.keys;
    this.keys = keys.map((key) => ({
      key,
      weight: key?.weight ?? 1,
      breaker: newBreaker(),
      limited: false,
      lowUntilMs: 0,
    }));
  }

  answered(ms: number, streamed: boolean): void {
    if (streamed) this.#streamMs = runningMean(this.#streamMs, ms);
    else this.#wholeMs = runningMean(this.#wholeMs, ms);
  }

  ended(failure: string | null, nowMs: number): void {
    this.#outcomes = ((this.#outcomes << 1) | (failure === null ? 0 : 1)) & attemptsMask;
    this.minutes.add(nowMs, failure !== null);
    if (failure === null) return;
    this.#lastFailureMs = nowMs;
    this.#lastFailure = { reason: failure };
  }

  /** What the last failure was, in a few words. */
  get lastReason(): string | null {
    return this.#lastFailure?.reason ?? null;
  }

  latencyMs(): number | null {
    return this.#streamMs ?? this.#wholeMs;
  }

  /** See `TargetHealth.doubt`. */
  doubt(nowMs: number): 0 | 1 | 2 {
    if (this.breaker.stateAt(nowMs) !== 'closed') return 1;
    if (this.#outcomes === 0) return 0;
    if (nowMs - this.#lastFailureMs >= this.#rules.openMs) {
      // Forgiven: it is tried like any other until it fails that often again.
      this.#outcomes = 0;
      return 0;
    }
    return bitsSet(this.#outcomes) >= this.#rules.failures ? 2 : 1;
  }

  /** Until when nothing can go there, by the monotonic clock, or null: its breaker is open, or that of each key. */
  openUntil(nowMs: number): number | null {
    const own = shutUntil(this.breaker, nowMs);
    let soonest = Number.POSITIVE_INFINITY;
    for (const { breaker } of this.keys) {
      const until = shutUntil(breaker, nowMs);
      if (until === null) return own;
      soonest = Math.min(soonest, until);
    }
    return Math.max(own ?? 0, soonest);
  }

  status(nowMs: number, now: Date): TargetStatus {
    const dateOf = (ms: number | null) => (ms === null ? null : new Date(now.getTime() - (nowMs - ms)));
    const { attempts, failures } = this.minutes.sums(nowMs);
    const deciding = this.#decidingBreaker(nowMs);
    return {
      provider: this.provider,
      model: this.model,
      state: deciding.stateAt(nowMs),
      since: dateOf(deciding.sinceMs),
      openUntil: deciding.stateAt(nowMs) === 'open' ? dateOf(deciding.openUntilMs) : null,
      consecutiveFailures: deciding.consecutiveFailures,
      lastFailure: this.#lastFailure && {
        at: dateOf(this.#lastFailureMs) ?? now,
        reason: this.#lastFailure.reason,
      },
      inFlight: this.inFlight,
      latencyMs: this.latencyMs(),
      attempts,
      failures,
    };
  }

  /** The one that keeps calls away; when every key is shut, that of the key which opens first. */
  #decidingBreaker(nowMs: number): Breaker {
    if (this.breaker.stateAt(nowMs) !== 'closed') return this.breaker;
    const [first, ...others] = this.keys.map(({ breaker }) => breaker);
    const soonest = others.reduce<Breaker | undefined>(
      (best, breaker) => (opensBefore(breaker, best, nowMs) ? breaker : best),
      first,
    );
    return soonest && soonest.stateAt(nowMs) !== 'closed' ? soonest : this.breaker;
  }
}

function shutUntil(breaker: Breaker, nowMs: number): number | null {
  // While a probe is under way nobody knows when it ends: ask again at once.
  return breaker.admits(nowMs) ? null : (breaker.openUntilMs ?? nowMs);
}

function opensBefore(one: Breaker, other: Breaker | undefined, nowMs: number): boolean {
  return other === undefined || (shutUntil(one, nowMs) ?? 0) < (shutUntil(other, nowMs) ?? 0);
}

function runningMean(before: number | null, ms: number): number {
  return before === null ? ms : before + newValueShare * (ms - before);
}

function bitsSet(word: number): number {
  let count = 0;
  for (let left = word; left !== 0; left &= left - 1) count++;
  return count;
}
