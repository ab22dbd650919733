import type { Clock } from '../platform/clock.ts';

/** Who waits to hear that an answer was made, or could not be, by another instance. */
export function createNews(clock: Pick<Clock, 'sleep'>) {
  const waiting = new Map<string, Set<() => void>>();
  const wake = (listeners: Iterable<() => void> | undefined) => {
    for (const listener of [...(listeners ?? [])]) listener();
  };
  return {
    /** Resolves when it is told of, or after `ms`. */
    of(tenantId: string, key: string, ms: number): Promise<void> {
      const id = `${tenantId} ${key}`;
      const timer = new AbortController();
      return new Promise((resolve) => {
        const listeners = waiting.get(id) ?? new Set();
        waiting.set(id, listeners);
        const done = () => {
          listeners.delete(done);
          if (listeners.size === 0 && waiting.get(id) === listeners) waiting.delete(id);
          timer.abort();
          resolve();
        };
        listeners.add(done);
        clock.sleep(ms, timer.signal).then(done, () => {});
      });
    },
    tell: (tenantId: string, key: string): void => wake(waiting.get(`${tenantId} ${key}`)),
    tellAll(): void {
      for (const listeners of [...waiting.values()]) wake(listeners);
    },
  };
}
