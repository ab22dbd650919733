import { ExponentialBackoff } from 'cockatiel';

/** Spec: exponential with full jitter, from 100 ms to 30 s. */
const firstBackoffMs = 100;
export const maxBackoffMs = 30_000;

/**
 * @param round how many pauses a call has made, this one included: from 1.
 * @param fraction gives a number in [0, 1).
 * @returns how long to wait, milliseconds: anything up to 100 ms, 200 ms, 400 ms and so on, 30 s at most.
 */
export function backoffMs(round: number, fraction: () => number): number {
  let backoff = new ExponentialBackoff<number>({
    initialDelay: firstBackoffMs,
    maxDelay: maxBackoffMs,
    // The library's own generator of this form draws from Math.random, which no test can drive.
    generator: (before = 0, { initialDelay, maxDelay }) => [
      fraction() * Math.min(maxDelay, initialDelay * 2 ** before),
      before + 1,
    ],
  }).next();
  for (let n = 1; n < round; n++) backoff = backoff.next(undefined);
  return backoff.duration;
}
