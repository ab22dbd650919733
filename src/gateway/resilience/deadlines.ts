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

  add(watched: Watched): void {
    this.#watched.add(watched);
  }

  remove(watched: Watched): void {
    this.#watched.delete(watched);
  }

  look(nowMs: number): void {
    for (const watched of this.#watched) watched.look(nowMs);
  }
}
