import type { Clock } from '../platform/clock.ts';
import type { Cancellation } from './cancellation.ts';

/**
 * Where calls wait for room that other calls hold of a budget. Whoever waits is told when a call of the same tenant has
 * ended here, and asks again then.
 */
export class WaitingRoom {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #takenBy = new Map<string, number>();
  #taken = 0;

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  /**
   * Takes a place, to be given back by `leave`. One tenant has at most half of them, so that there is room for another.
   * @param places how many there are. @returns false when none is free.
   */
  enter(tenantId: string, places: number): boolean {
    const own = this.#takenBy.get(tenantId) ?? 0;
    if (this.#taken >= places || own >= Math.ceil(places / 2)) return false;
    this.#taken++;
    this.#takenBy.set(tenantId, own + 1);
    return true;
  }

  /** Calls that wait now. */
  get waiting(): number {
    return this.#taken;
  }

  leave(tenantId: string): void {
    this.#taken--;
    const left = (this.#takenBy.get(tenantId) ?? 1) - 1;
    if (left === 0) this.#takenBy.delete(tenantId);
    else this.#takenBy.set(tenantId, left);
  }

  /** Waits until a call of that tenant has ended here, the call itself is ended from outside, or the time is over. */
  async untilFreed(tenantId: string, ms: number, cancellation: Cancellation): Promise<void> {
    const waiting = this.#waiting.get(tenantId) ?? new Set();
    this.#waiting.set(tenantId, waiting);
    const told = new AbortController();
    const wake = () => told.abort();
    waiting.add(wake);
    await this.#pause(ms, told, cancellation);
    waiting.delete(wake);
    if (waiting.size === 0 && this.#waiting.get(tenantId) === waiting) this.#waiting.delete(tenantId);
  }

  /** Waits for that long, or until the call is ended from outside. */
  pause(ms: number, cancellation: Cancellation): Promise<void> {
    return this.#pause(ms, new AbortController(), cancellation);
  }

  /** A call of that tenant has ended: those who wait ask again, in the order in which they came. */
  freed(tenantId: string): void {
    const waiting = this.#waiting.get(tenantId);
    if (!waiting) return;
    this.#waiting.delete(tenantId);
    for (const wake of waiting) wake();
  }

  async #pause(ms: number, told: AbortController, cancellation: Cancellation): Promise<void> {
    if (cancellation.reason !== null) return;
    cancellation.listen(() => told.abort());
    await this.#clock.sleep(ms, told.signal).catch(() => {});
    cancellation.listen(null);
  }
}
