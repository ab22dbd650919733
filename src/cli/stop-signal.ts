export interface StopSignal {
  /** Resolves at the first SIGTERM or SIGINT. */
  readonly requested: Promise<void>;
  /** Resolves at the second: whoever sends it does not want to wait. */
  readonly again: Promise<void>;
}

/**
 * Listens from now on, so that a signal during start-up is not lost. The same signal twice within a moment is one
 * request: at Ctrl-C the terminal signals the whole group, and the launcher passes its own on as well.
 */
export function createStopSignal(): StopSignal {
  const sameRequestMs = 500;
  let firstAt: number | null = null;
  let request = () => {};
  let insist = () => {};
  const requested = new Promise<void>((resolve) => {
    request = resolve;
  });
  const again = new Promise<void>((resolve) => {
    insist = resolve;
  });
  const onSignal = () => {
    const now = performance.now();
    if (firstAt === null) {
      firstAt = now;
      request();
    } else if (now - firstAt > sameRequestMs) {
      insist();
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return { requested, again };
}
