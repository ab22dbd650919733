import { ConsecutiveBreaker } from 'cockatiel';

export type BreakerState = 'closed' | 'open' | 'half_open';

export interface BreakerRules {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** How long it then stays open, milliseconds. */
  readonly openMs: number;
}

/** Lets one call through. Every pass ends with `succeeded`, `failed` or `abandoned`. */
export interface BreakerPass {
  /** The one call that decides whether an open breaker closes. */
  readonly probe: boolean;
}

const plainPass: BreakerPass = Object.freeze({ probe: false });

/**
 * Keeps calls away from what fails: closed, it counts failures in a row; open, it lets nobody through until its time is
 * over; then one call goes ahead as a probe, and its outcome closes or opens it again. Nobody waits for the probe.
 *
 * The library's own breaker reads the machine's clock, lets callers wait for the probe, and can be opened neither for
 * the time that a provider names nor by another instance, so only its count of failures is used.
 */
export class Breaker {
  readonly #rules: BreakerRules;
  readonly #count: ConsecutiveBreaker;
  readonly #changed: (to: BreakerState) => void;
  #state: BreakerState = 'closed';
  #sinceMs: number | null = null;
  #untilMs = 0;
  #probe: BreakerPass | null = null;
  /** It was opened for a time that the provider named: when that is over, nothing has to be tried out. */
  #closesByItself = false;

  constructor(rules: BreakerRules, changed: (to: BreakerState) => void) {
    this.#rules = rules;
    this.#count = new ConsecutiveBreaker(rules.failures);
    this.#changed = changed;
  }

  get consecutiveFailures(): number {
    return this.#count.state;
  }
  /** When it came into its state, by the monotonic clock; null while it has never been open. */
  get sinceMs(): number | null {
    return this.#sinceMs;
  }
  /** Until when it lets nobody through, by the monotonic clock; null when it is not open. */
  get openUntilMs(): number | null {
    return this.#state === 'open' ? this.#untilMs : null;
  }

  /** Whether it is open for a time that the provider named. */
  get named(): boolean {
    return this.#closesByItself;
  }

  /** As it is for the next call: an open one whose time is over is half open. */
  stateAt(nowMs: number): BreakerState {
    if (this.#state !== 'open' || nowMs < this.#untilMs) return this.#state;
    return this.#closesByItself ? 'closed' : 'half_open';
  }

  /** Whether a call may go ahead now. */
  admits(nowMs: number): boolean {
    if (this.#state === 'closed') return true;
    return this.#state === 'open' ? nowMs >= this.#untilMs : this.#probe === null;
  }

  /** Lets a call through that `admits` allows. */
  enter(nowMs: number): BreakerPass {
    if (this.#state === 'closed') return plainPass;
    if (this.#closesByItself) {
      this.#become('closed', nowMs);
      return plainPass;
    }
    if (this.#state === 'open') this.#become('half_open', nowMs);
    this.#probe = { probe: true };
    return this.#probe;
  }

  succeeded(pass: BreakerPass, nowMs: number): void {
    if (pass.probe) this.#endProbe(pass, nowMs, true);
    // A call that began before it opened says nothing of how things are now.
    else if (this.#state === 'closed' && this.#count.state > 0) this.#count.success();
  }

  failed(pass: BreakerPass, nowMs: number): void {
    if (pass.probe) this.#endProbe(pass, nowMs, false);
    else if (this.#state === 'closed' && this.#count.failure()) this.openFor(this.#rules.openMs, nowMs);
  }

  /** The call ended without showing anything: its client left, say. The next one is the probe then. */
  abandoned(pass: BreakerPass): void {
    if (pass === this.#probe) this.#probe = null;
  }

  /** Opens it, or leaves it open for longer. @param named the provider said for how long: no probe is needed after. */
  openFor(ms: number, nowMs: number, named = false): void {
    const untilMs = nowMs + ms;
    if (this.#state === 'open' && this.#untilMs >= untilMs) return;
    this.#untilMs = untilMs;
    this.#probe = null;
    this.#closesByItself = named;
    if (this.#state !== 'open') this.#become('open', nowMs);
  }

  /** Closes it whatever it knows: another instance has seen that all is well. */
  close(nowMs: number): void {
    if (this.#state !== 'closed') this.#become('closed', nowMs);
  }

  #endProbe(pass: BreakerPass, nowMs: number, well: boolean): void {
    // Another instance's news may have decided in the meantime.
    if (pass !== this.#probe) return;
    this.#probe = null;
    if (well) this.#become('closed', nowMs);
    else this.openFor(this.#rules.openMs, nowMs);
  }

  #become(state: BreakerState, nowMs: number): void {
    this.#state = state;
    this.#sinceMs = nowMs;
    if (state === 'closed') {
      this.#count.success();
      this.#closesByItself = false;
      this.#probe = null;
    }
    this.#changed(state);
  }
}
