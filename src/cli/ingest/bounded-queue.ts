/** First in, first out, between makers and one taker; makers wait while it is full. */
export interface BoundedQueue<T> {
  /** Resolves when there was room. */
  put(item: T): Promise<void>;
  /** @returns null when nothing more will come. */
  take(): Promise<T | null>;
  /** Nothing more will come. */
  end(): void;
}

/** @param signal rejects whoever waits. */
export function createBoundedQueue<T>(capacity: number, signal: AbortSignal): BoundedQueue<T> {
  const items: T[] = [];
  let ended = false;
  let wake: (() => void)[] = [];
  const changed = () => {
    const waiting = wake;
    wake = [];
    for (const resolve of waiting) resolve();
  };
  signal.addEventListener('abort', changed, { once: true });
  const until = async (isTrue: () => boolean): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      if (isTrue()) return;
      await new Promise<void>((resolve) => wake.push(resolve));
    }
  };
  return {
    async put(item) {
      await until(() => items.length < capacity);
      items.push(item);
      changed();
    },
    async take() {
      await until(() => items.length > 0 || ended);
      const item = items.shift();
      changed();
      return item === undefined ? null : item;
    },
    end() {
      ended = true;
      changed();
    },
  };
}
