import type { Clock } from '../platform/clock.ts';

/** A caller who waits, until its time is up or it leaves. */
export interface Waiting {
  readonly over: boolean;
  /** Resolves when it is over. */
  readonly left: Promise<void>;
  /** Stops the timer and the listening. */
  end(): void;
}

export function startWaiting(
  clock: Pick<Clock, 'sleep'>,
  ms: number,
  onCancel: ((listener: () => void) => () => void) | undefined,
): Waiting {
  const timer = new AbortController();
  let over = false;
  let leave = () => {};
  const left = new Promise<void>((resolve) => {
    leave = () => {
      over = true;
      resolve();
    };
  });
  const unlisten = onCancel?.(leave);
  clock.sleep(ms, timer.signal).then(leave, () => {});
  return {
    get over() {
      return over;
    },
    left,
    end() {
      unlisten?.();
      timer.abort();
      leave();
    },
  };
}
