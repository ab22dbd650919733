type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * When a provider takes calls again, by its own account.
 * `retry-after` in seconds or as a date (RFC 9110, 10.2.3), `retry-after-ms` as Azure and OpenAI send it, and where
 * neither is there, `x-ratelimit-reset-requests` and `-tokens` of OpenAI's form (`1s`, `6m0s`, `20ms`) of a limit whose
 * `x-ratelimit-remaining-…` is 0, else `x-ratelimit-reset` with `x-ratelimit-remaining: 0`, in seconds or as a time.
 * @param nowMs milliseconds since 1970, for dates.
 * @returns milliseconds from now, 0 or more; null when it does not say, or not so that it can be understood.
 */
export function retryAfterMs(headers: Headers, nowMs: number): number | null {
  const said = (name: string) => {
    const value = headers[name];
    return typeof value === 'string' ? value.trim() : undefined;
  };
  const ms = plainNumber(said('retry-after-ms'));
  if (ms !== null) return ms;
  const after = said('retry-after');
  if (after !== undefined) return secondsOrDate(after, nowMs);
  const resets = ['requests', 'tokens'].flatMap((limit) => {
    const reset = said(`x-ratelimit-reset-${limit}`);
    return reset === undefined || said(`x-ratelimit-remaining-${limit}`) !== '0' ? [] : [durationMs(reset)];
  });
  const known = resets.filter((reset) => reset !== null);
  if (known.length > 0) return Math.max(...known);
  return said('x-ratelimit-remaining') === '0' ? resetMs(said('x-ratelimit-reset'), nowMs) : null;
}

function plainNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}(?:\.\d+)?$/.test(text) ? Number(text) : null;
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

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

function durationMs(text: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    total += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  }
  return total;
}

/** A count of seconds, or a time since 1970 in seconds or milliseconds: their sizes tell them apart. */
function resetMs(text: string | undefined, nowMs: number): number | null {
  const number = plainNumber(text);
  if (number === null) return null;
  if (number >= 1e12) return Math.max(0, number - nowMs);
  return number >= 1e9 ? Math.max(0, number * 1_000 - nowMs) : number * 1_000;
}
