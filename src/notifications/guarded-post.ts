import { Client, errors } from 'undici';
import type { Clock } from '../platform/clock.ts';
import { type AddressGuard, RefusedAddress } from './address-guard.ts';
import type { OutgoingMessage } from './outgoing-message.ts';

/** How one try ended: with a status, or with a reason in words for the tenant. */
export type PostOutcome =
  | { readonly status: number; readonly retryAfter: string | undefined }
  | { readonly status: null; readonly error: string };

export interface PostTimeouts {
  readonly connectMs: number;
  /** From the look-up of the name to the end of the answer. */
  readonly totalMs: number;
}

/** @param signal cuts the try short; it then ends with an error. Never throws. */
export type Post = (message: OutgoingMessage, signal: AbortSignal) => Promise<PostOutcome>;

/** Of an answer that nobody reads: it is taken only so that the receiver can finish in peace. */
const maxAnswerBytes = 16 * 1024;
const maxHeaderBytes = 16 * 1024;

/**
 * The one way out for deliveries. Each try has a connection of its own, whose address the guard has seen; redirects are not
 * followed, because they would lead past the URL that was checked.
 */
export function createGuardedPost(deps: {
  readonly guard: AddressGuard;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly timeouts: PostTimeouts;
  readonly userAgent: string;
}): Post {
  const { guard, clock, timeouts } = deps;

  return async (message, signal) => {
    const url = URL.canParse(message.url) ? new URL(message.url) : null;
    const objection = url === null ? 'is not a URL' : guard.objectionTo(url);
    if (url === null || objection !== null)
      return { status: null, error: `not sent: the address ${objection}` };

    const late = new AbortController();
    const clockStopped = new AbortController();
    clock
      .sleep(timeouts.totalMs, clockStopped.signal)
      .then(() => late.abort(new TimedOut()))
      .catch(() => {});
    const client = new Client(url.origin, {
      pipelining: 0,
      headersTimeout: timeouts.totalMs,
      bodyTimeout: timeouts.totalMs,
      maxHeaderSize: maxHeaderBytes,
      connect: { timeout: timeouts.connectMs, lookup: guard.lookup },
    });
    const until = AbortSignal.any([signal, late.signal]);
    try {
      const { statusCode, headers, body } = await client.request({
        path: `${url.pathname}${url.search}`,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': deps.userAgent, ...message.headers },
        body: message.body,
        signal: until,
      });
      await body.dump({ limit: maxAnswerBytes, signal: until }).catch(() => {});
      const retryAfter = headers['retry-after'];
      return { status: statusCode, retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined };
    } catch (error) {
      return { status: null, error: inWords(error, timeouts) };
    } finally {
      clockStopped.abort();
      await client.destroy().catch(() => {});
    }
  };
}

class TimedOut extends Error {}

const words: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name of the host is not known',
  EAI_AGAIN: 'the name of the host could not be looked up',
  ECONNREFUSED: 'the host refused the connection',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
  UND_ERR_SOCKET: 'the connection was lost',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'the connection took too long',
  CERT_HAS_EXPIRED: 'the certificate of the host has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate of the host is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate of the host is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate of the host is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate of the host is for another name',
};

/** Why it failed, without addresses or anything else that the tenant does not know already. */
function inWords(error: unknown, { connectMs, totalMs }: PostTimeouts): string {
  if (error instanceof TimedOut) return `no answer within ${totalMs / 1_000} s`;
  if (error instanceof RefusedAddress) return 'not sent: the name of the host leads to a private address';
  if (error instanceof errors.ConnectTimeoutError) return `no connection within ${connectMs / 1_000} s`;
  // Several addresses were tried, and the first failure tells as much as the others.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return inWords(error.errors[0], { connectMs, totalMs });
  }
  if (error instanceof Error && error.name === 'AbortError')
    return 'the server stopped before there was an answer';
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && words[code]) || 'the exchange failed';
}
