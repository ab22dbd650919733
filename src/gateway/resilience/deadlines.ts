/** Something that has deadlines and knows what to do when one has passed. */
export interface Watched {
  /** @param nowMs by the monotonic clock. */
  look(nowMs: number): void;
}

/**
 * What is looked at a few times a second, in place of timers for each call: setting and clearing them, and reading the
 * clock at every piece of a stream to move one, costs more than a look at a thousand attempts.
 */
export class Deadlines {
  readonly #watched = new Set<Watched>();
  readonly #intervalMs: number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /** @param intervalMs how often `look` is called. */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  add(watched: Watched): void {
    this.#watched.add(watched);
  }

  remove(watched: Watched): void {
    this.#watched.delete(watched);
  }

  /**
   * A look that comes much too late is left out: this process stood still, for want of a processor, and what providers
   * sent meanwhile has not been read yet. It will have been by the next one.
   */
  look(nowMs: number): void {
    const lateMs = nowMs - this.#lookedAtMs - this.#intervalMs;
    this.#lookedAtMs = nowMs;
    if (lateMs > this.#intervalMs && lateMs < Number.POSITIVE_INFINITY) return;
    for (const watched of this.#watched) watched.look(nowMs);
  }
}
