/** The longest wait before each further try, in seconds; the last one goes on until the day is over. */
const longestWaits = [5, 30, 120, 600, 3_600, 10_800, 21_600] as const;
/** Nobody is asked again within a second, whatever chance says. */
const shortestWaitMs = 1_000;
/** A delivery that failed for a day is dead. */
export const giveUpAfterMs = 24 * 3_600_000;
/** With waits drawn by chance there are about 13 tries in a day; should chance be short, it ends here. */
export const maxTries = 25;

/**
 * When to try again: a wait drawn evenly between nothing and a bound that grows with each try ("full jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that many deliveries which failed together
 * do not come back together; never sooner than the receiver asked for. The last try comes when the day is over.
 * @param tries how many there were, from 1.
 * @param agedMs since the delivery was queued, or asked for again.
 * @param retryAfterMs what the receiver asked for; null when it said nothing.
 * @param fraction chance, in [0, 1).
 * @returns milliseconds from now; null when there is nothing to be tried any more.
 */
export function nextTryInMs(
  tries: number,
  agedMs: number,
  retryAfterMs: number | null,
  fraction: () => number,
): number | null {
  const leftMs = giveUpAfterMs - agedMs;
  if (leftMs <= 0 || tries >= maxTries) return null;
  const longest = (longestWaits[tries - 1] ?? longestWaits.at(-1) ?? 0) * 1_000;
  const drawn = Math.max(shortestWaitMs, Math.floor(fraction() * longest));
  return Math.min(Math.max(drawn, retryAfterMs ?? 0), leftMs);
}

/**
 * @param header `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
 * @returns milliseconds from now, at most a day; null when it says nothing that can be understood.
 */
export function retryAfterMs(header: string | undefined, now: Date): number | null {
  if (header === undefined) return null;
  const text = header.trim();
  if (!/^\d{1,9}$|GMT$/.test(text)) return null;
  const ms = text.endsWith('GMT') ? Date.parse(text) - now.getTime() : Number(text) * 1_000;
  if (!Number.isFinite(ms)) return null;
  return Math.min(Math.max(ms, 0), giveUpAfterMs);
}
