export type ProviderHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What a provider says of a limit that is used up. Its buckets fill evenly, so there is room before they are full. */
export interface Exhaustion {
  /** Until there is room for one more call of this size, as far as can be told; milliseconds. */
  readonly roomMs: number;
  /** Until the provider names it full again, milliseconds. */
  readonly fullMs: number;
}

interface Names {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
  /** The limit is of tokens, of which one call needs many. */
  readonly ofTokens: boolean;
}

/** https://developers.openai.com/api/docs/guides/rate-limits; Azure and the compatible providers send the same names. */
const openAi: readonly Names[] = ['requests', 'tokens'].map((what) => ({
  limit: `x-ratelimit-limit-${what}`,
  remaining: `x-ratelimit-remaining-${what}`,
  reset: `x-ratelimit-reset-${what}`,
  ofTokens: what !== 'requests',
}));
/** https://platform.claude.com/docs/en/api/rate-limits */
const anthropic: readonly Names[] = ['requests', 'tokens', 'input-tokens', 'output-tokens'].map((what) => ({
  limit: `anthropic-ratelimit-${what}-limit`,
  remaining: `anthropic-ratelimit-${what}-remaining`,
  reset: `anthropic-ratelimit-${what}-reset`,
  ofTokens: what !== 'requests',
}));
const all = [...openAi, ...anthropic];

/** Headers that tell of limits, by name: for replies whose headers are made anew. */
export const limitHeaderNames: readonly string[] = all.flatMap(({ limit, remaining, reset }) => [
  limit,
  remaining,
  reset,
]);

/**
 * @param nowMs milliseconds since 1970, for dates.
 * @param tokens what a call is thought to need of a limit of tokens.
 * @returns null when no limit is known to be used up.
 */
export function exhaustionIn(headers: ProviderHeaders, nowMs: number, tokens: number): Exhaustion | null {
  const names = namesIn(headers);
  if (names === null) return null;
  let roomMs = -1;
  let fullMs = -1;
  for (const { limit, remaining, reset, ofTokens } of names) {
    if (headers[remaining] !== '0') continue;
    const ms = untilReset(headers[reset], nowMs);
    if (ms === null) continue;
    const size = plainNumber(headers[limit]);
    const share = size === null || size <= 0 ? 1 : Math.min(1, (ofTokens ? Math.max(1, tokens) : 1) / size);
    roomMs = Math.max(roomMs, ms * share);
    fullMs = Math.max(fullMs, ms);
  }
  return fullMs < 0 ? null : { roomMs, fullMs };
}

/** Most replies are looked at in vain, so one look has to do for those of other providers. */
function namesIn(headers: ProviderHeaders): readonly Names[] | null {
  const [ofRequests, ofTokens] = openAi;
  if (ofRequests && headers[ofRequests.remaining] !== undefined) return openAi;
  if (ofTokens && headers[ofTokens.remaining] !== undefined) return openAi;
  return anthropic.some(({ remaining }) => headers[remaining] !== undefined) ? anthropic : null;
}

/** `6m0s` as OpenAI writes it, `60` seconds as Azure does, a date (RFC 3339) as Anthropic does. */
function untilReset(text: string | string[] | undefined, nowMs: number): number | null {
  if (typeof text !== 'string') return null;
  const seconds = plainNumber(text);
  if (seconds !== null) return seconds * 1_000;
  const duration = durationMs(text);
  if (duration !== null) return duration;
  const date = /^\d{4}-\d{2}-\d{2}T[\d:.]{8,18}(?:Z|[+-]\d{2}:\d{2})$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

export function plainNumber(text: string | string[] | undefined): number | null {
  return typeof text === 'string' && /^\d{1,15}(?:\.\d+)?$/.test(text) ? Number(text) : null;
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

function durationMs(text: string): number | null {
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|h|m|s)){1,4}$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    total += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  }
  return total;
}
