import { createBoundedCache } from '../../platform/bounded-cache.ts';
import type { Clock } from '../../platform/clock.ts';

export interface RetryBudgetRules {
  /** Retries for each call. */
  readonly share: number;
  /** Retries that a tenant has besides, so that one with few calls is helped, too. */
  readonly least: number;
  /** The time over which both are counted, milliseconds. */
  readonly windowMs: number;
}

export const defaultRetryBudget: RetryBudgetRules = { share: 0.2, least: 50, windowMs: 600_000 };

/**
 * Bounds how much more traffic a tenant's calls become when things fail: in any window, the attempts beyond each call's
 * first (at the same target or at another) are at most `share` of its calls and `least` besides.
 */
export interface RetryBudget {
  /** A call makes its first attempt. */
  called(tenantId: string): void;
  /** How many further attempts there is room for now; 0 or more. */
  room(tenantId: string): number;
  /** Makes use of the room for one. @returns false when there is none. */
  take(tenantId: string): boolean;
}

const slots = 10;
/** Tenants that are remembered; one that is forgotten begins anew. */
const maxTenants = 10_000;

export function createRetryBudget(rules: RetryBudgetRules, clock: Pick<Clock, 'monotonicMs'>): RetryBudget {
  const windows = createBoundedCache<string, Window>(maxTenants);
  const slotMs = rules.windowMs / slots;
  const windowOf = (tenantId: string): Window => {
    let window = windows.get(tenantId);
    if (!window) {
      window = new Window();
      windows.set(tenantId, window);
    }
    window.moveTo(Math.floor(clock.monotonicMs() / slotMs));
    return window;
  };
  const roomIn = ({ calls, retries }: Window): number =>
    Math.max(0, Math.floor(rules.least + rules.share * calls) - retries);

  return {
    called: (tenantId) => windowOf(tenantId).count(1, 0),
    room: (tenantId) => roomIn(windowOf(tenantId)),
    take(tenantId) {
      const window = windowOf(tenantId);
      if (roomIn(window) < 1) return false;
      window.count(0, 1);
      return true;
    },
  };
}

/** Counts of the last `slots` slots of time, the current one included. */
class Window {
  calls = 0;
  retries = 0;
  readonly #calls = new Int32Array(slots);
  readonly #retries = new Int32Array(slots);
  #slot = 0;

  moveTo(slot: number): void {
    if (slot === this.#slot) return;
    for (let passed = Math.min(slot - this.#slot, slots); passed > 0; passed--) {
      const at = (slot - passed + 1) % slots;
      this.calls -= this.#calls[at] ?? 0;
      this.retries -= this.#retries[at] ?? 0;
      this.#calls[at] = 0;
      this.#retries[at] = 0;
    }
    this.#slot = slot;
  }

  count(calls: number, retries: number): void {
    const at = this.#slot % slots;
    this.#calls[at] = (this.#calls[at] ?? 0) + calls;
    this.#retries[at] = (this.#retries[at] ?? 0) + retries;
    this.calls += calls;
    this.retries += retries;
  }
}
