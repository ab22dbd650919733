import type { Clock } from '../platform/clock.ts';

/** Runs `work` with a signal that aborts after `ms` milliseconds, or when one of `signals` does. */
export async function within<T>(
  clock: Pick<Clock, 'sleep'>,
  ms: number,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const late = new AbortController();
  clock.sleep(ms, ended.signal).then(
    () => late.abort(new Error(`no answer within ${ms} ms`)),
    () => {},
  );
  try {
    return await work(AbortSignal.any([late.signal, ...signals]));
  } finally {
    ended.abort();
  }
}
