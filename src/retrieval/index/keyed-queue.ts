import { AppError } from '../../platform/errors.ts';

/** Runs work of one key in order, one at a time; work of different keys runs side by side. */
export interface KeyedQueue {
  /**
   * Runs `work` after everything queued before it under `key`, and gives its outcome. Throws AppError `overloaded`
   * when `maxWaiting` pieces of work already wait under that key.
   */
  run<Result>(key: string, work: () => Promise<Result>): Promise<Result>;
  /** Resolves when nothing is waiting or running. */
  idle(): Promise<void>;
}

export function createKeyedQueue({ maxWaiting }: { readonly maxWaiting: number }): KeyedQueue {
  const queues = new Map<string, { waiting: number; last: Promise<unknown> }>();

  return {
    run(key, work) {
      const queue = queues.get(key) ?? { waiting: 0, last: Promise.resolve() };
      if (queue.waiting >= maxWaiting) {
        return Promise.reject(
          new AppError('overloaded', 'Too many changes are waiting for this index.', {
            retryAfterSeconds: 5,
          }),
        );
      }
      queues.set(key, queue);
      queue.waiting += 1;
      const result = queue.last.then(work);
      // The next in line runs whether or not this one failed; the failure belongs to its own caller.
      queue.last = result
        .catch(() => undefined)
        .then(() => {
          queue.waiting -= 1;
          if (queue.waiting === 0) queues.delete(key);
        });
      return result;
    },

    async idle() {
      while (queues.size > 0) await Promise.all([...queues.values()].map(({ last }) => last));
    },
  };
}
