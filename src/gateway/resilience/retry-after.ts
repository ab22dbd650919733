import { exhaustionIn, type ProviderHeaders, plainNumber } from './provider-limits.ts';

/**
 * When a provider that has refused a call takes calls again, by its own account.
 * `retry-after` in seconds or as a date (RFC 9110, 10.2.3), `retry-after-ms` as Azure and OpenAI send it, and where
 * neither is there, when the limits that are used up are full again, else `x-ratelimit-reset` with
 * `x-ratelimit-remaining: 0`, in seconds or as a time.
 * @param nowMs milliseconds since 1970, for dates.
 * @returns milliseconds from now, 0 or more; null when it does not say, or not so that it can be understood.
 */
export function retryAfterMs(headers: ProviderHeaders, nowMs: number): number | null {
  const said = (name: string) => {
    const value = headers[name];
    return typeof value === 'string' ? value.trim() : undefined;
  };
  const ms = plainNumber(said('retry-after-ms'));
  if (ms !== null) return ms;
  const after = said('retry-after');
  if (after !== undefined) return secondsOrDate(after, nowMs);
  const exhausted = exhaustionIn(headers, nowMs, 0);
  if (exhausted) return exhausted.fullMs;
  return said('x-ratelimit-remaining') === '0' ? resetMs(said('x-ratelimit-reset'), nowMs) : null;
}

function secondsOrDate(text: string, nowMs: number): number | null {
  const seconds = plainNumber(text);
  if (seconds !== null) return seconds * 1_000;
  // Date.parse takes many forms, a bare number among them; HTTP has one that is in use.
  const date = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

/** A count of seconds, or a time since 1970 in seconds or milliseconds: their sizes tell them apart. */
function resetMs(text: string | undefined, nowMs: number): number | null {
  const number = plainNumber(text);
  if (number === null) return null;
  if (number >= 1e12) return Math.max(0, number - nowMs);
  return number >= 1e9 ? Math.max(0, number * 1_000 - nowMs) : number * 1_000;
}
