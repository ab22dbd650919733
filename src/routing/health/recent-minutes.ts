const minutesKept = 5;
const minuteMs = 60_000;

/** Attempts and failures of the last five minutes, the current one included, in as many pairs of numbers. */
export class RecentMinutes {
  readonly #attempts = new Int32Array(minutesKept);
  readonly #failures = new Int32Array(minutesKept);
  #minute = 0;

  add(nowMs: number, failed: boolean): void {
    const slot = this.#moveTo(nowMs);
    this.#attempts[slot] = (this.#attempts[slot] ?? 0) + 1;
    if (failed) this.#failures[slot] = (this.#failures[slot] ?? 0) + 1;
  }

  sums(nowMs: number): { attempts: number; failures: number } {
    this.#moveTo(nowMs);
    return { attempts: sum(this.#attempts), failures: sum(this.#failures) };
  }

  #moveTo(nowMs: number): number {
    const minute = Math.floor(nowMs / minuteMs);
    for (let passed = Math.min(minute - this.#minute, minutesKept); passed > 0; passed--) {
      const slot = (minute - passed + 1) % minutesKept;
      this.#attempts[slot] = 0;
      this.#failures[slot] = 0;
    }
    this.#minute = Math.max(minute, this.#minute);
    return this.#minute % minutesKept;
  }
}

function sum(values: Int32Array): number {
  return values.reduce((total, value) => total + value, 0);
}
