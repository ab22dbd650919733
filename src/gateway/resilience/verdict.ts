import type { VisitEnd } from '../../routing/index.ts';
import type { Breakage, Broken, Outcome } from '../outcome.ts';
import { retryAfterMs } from './retry-after.ts';

/** What an attempt's outcome means for the call, and for the target. */
export interface Verdict {
  /**
   * `settled`: the call ends with it. `again`: other targets now, or this one after a pause. `elsewhere`: other targets
   * only. `other_key`: another of the provider's keys now, else as `again` (a limit) or `elsewhere` (a credential).
   */
  readonly next: 'settled' | 'again' | 'elsewhere' | 'other_key';
  readonly health: VisitEnd;
  /** Why a further attempt is made, for metrics; null when none is. */
  readonly reason: RetryReason | null;
}

export type RetryReason =
  | 'connection'
  | 'timeout'
  | 'rate_limit'
  | 'credential'
  | 'server_error'
  | 'malformed'
  | 'unsupported';

const well: Verdict = { next: 'settled', health: { kind: 'well' }, reason: null };
const unknown: VisitEnd = { kind: 'unknown' };

/**
 * @param repeatable whether the request may be sent again when a provider may have worked on it.
 * @param nowMs gives milliseconds since 1970.
 */
export function verdictOf(outcome: Outcome, repeatable: boolean, nowMs: () => number): Verdict {
  switch (outcome.kind) {
    case 'streamed':
      return well;
    case 'whole':
      return outcome.status < 300 ? well : ofRefusal(outcome, repeatable, nowMs);
    case 'broken':
      return ofBreakage(outcome, repeatable);
  }
}

/**
 * Refusals are about the provider or our account with it (its failures, its limits, our key), or about the request, which
 * no other target would take either.
 */
function ofRefusal(
  { status, headers }: Outcome & { kind: 'whole' },
  repeatable: boolean,
  nowMs: () => number,
): Verdict {
  const said = `answered ${status}`;
  const failed: VisitEnd = { kind: 'failed', reason: said };
  if (status === 401 || status === 403) {
    const health: VisitEnd = { kind: 'key_refused', limit: false, reason: said, retryAfterMs: null };
    return { next: 'other_key', health, reason: 'credential' };
  }
  if (status === 429) {
    const after = retryAfterMs(headers, nowMs());
    const health: VisitEnd = { kind: 'key_refused', limit: true, reason: said, retryAfterMs: after };
    return { next: 'other_key', health, reason: 'rate_limit' };
  }
  // A redirect is not followed: what stands there is not this provider.
  if (status < 400) return { next: 'elsewhere', health: failed, reason: 'server_error' };
  if (status !== 408 && status < 500) return well;
  // Only 503 says that nothing was done.
  const next = repeatable || status === 503 ? 'again' : 'settled';
  return { next, health: failed, reason: 'server_error' };
}

/** What broke, in words that hold nothing of anyone's request; null: it says nothing of the target. */
const broke: Readonly<Record<Breakage, { readonly words: string; readonly reason: RetryReason } | null>> = {
  connect_timeout: { words: 'no connection in time', reason: 'timeout' },
  first_byte_timeout: { words: 'no first token in time', reason: 'timeout' },
  idle_timeout: { words: 'went silent in its answer', reason: 'timeout' },
  total_timeout: { words: 'took longer than an answer may take', reason: 'timeout' },
  connection: { words: 'the connection broke', reason: 'connection' },
  malformed: { words: 'an answer that cannot be read', reason: 'malformed' },
  not_a_reply: { words: 'something other than an answer', reason: 'malformed' },
  too_large: { words: 'an answer larger than is taken', reason: 'malformed' },
  provider_error: { words: 'an error in place of an answer', reason: 'server_error' },
  unsupported: null,
  cancelled: null,
  stopped: null,
  blocked: null,
};

function ofBreakage(outcome: Broken, repeatable: boolean): Verdict {
  const { why } = outcome;
  if (why === 'unsupported') return { next: 'elsewhere', health: unknown, reason: 'unsupported' };
  const what = broke[why];
  if (what === null) return { next: 'settled', health: unknown, reason: null };
  const health: VisitEnd = { kind: 'failed', reason: wordsOf(what.words, outcome.cause) };
  // What has reached the caller is never said twice; what a provider may have done is done again only if that is harmless.
  const mayGoOn = !outcome.begun && (repeatable || !outcome.sent);
  if (!mayGoOn) return { next: 'settled', health, reason: what.reason };
  return { next: why === 'too_large' ? 'elsewhere' : 'again', health, reason: what.reason };
}

/** With the system's own code, such as ECONNREFUSED, where there is one. */
function wordsOf(words: string, cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[A-Z_]{3,40}$/.test(code) ? `${words}: ${code}` : words;
}
