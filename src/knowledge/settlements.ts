import type { Clock } from '../platform/clock.ts';

/** Lets a request wait for work of a job in the same process without asking the database again and again. */
export interface Settlements {
  /** Something about this id came to an end. */
  settled(id: string): void;
  /**
   * Calls `look` at once, after each `settled(id)`, and once a second for what another instance did, until it gives
   * something other than null or `timeoutMs` is over. @returns what it gave, or null.
   */
  waitFor<T>(id: string, timeoutMs: number, look: () => Promise<T | null>): Promise<T | null>;
}

const lookAgainMs = 1_000;

export function createSettlements(clock: Pick<Clock, 'monotonicMs' | 'sleep'>): Settlements {
  const waiting = new Map<string, Set<() => void>>();

  return {
    settled(id) {
      for (const wake of waiting.get(id) ?? []) wake();
    },

    async waitFor(id, timeoutMs, look) {
      const deadline = clock.monotonicMs() + timeoutMs;
      for (;;) {
        // Listening starts before the look, so that an end between the two is not missed.
        const news = new AbortController();
        const wake = () => news.abort();
        const wakers = waiting.get(id) ?? new Set();
        waiting.set(id, wakers.add(wake));
        try {
          const found = await look();
          if (found !== null) return found;
          const left = deadline - clock.monotonicMs();
          if (left <= 0) return null;
          await clock.sleep(Math.min(left, lookAgainMs), news.signal).catch(() => {});
        } finally {
          wakers.delete(wake);
          if (wakers.size === 0) waiting.delete(id);
        }
      }
    },
  };
}
