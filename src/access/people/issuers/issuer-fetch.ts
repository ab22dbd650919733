import type { LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import { AppError } from '../../../platform/errors.ts';

/** Decides which addresses may be asked: an administrator of one tenant must not reach what only this server reaches. */
export interface AddressCheck {
  /** @returns why not, in words for the administrator; null when it may be asked. */
  objectionTo(url: URL): string | null;
  readonly lookup: LookupFunction;
}

export interface IssuerRequest {
  readonly method?: string | undefined;
  readonly headers?: Record<string, string> | undefined;
  readonly body?: string | undefined;
}

export type IssuerFetch = (url: string, init?: IssuerRequest) => Promise<Response>;

export interface IssuerFetchBounds {
  /** For everything about one request. */
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

const usualBounds: IssuerFetchBounds = { timeoutMs: 10_000, maxAnswerBytes: 1024 * 1024 };

/**
 * How issuers are asked: only where that is allowed, within bounds, never on to where a redirect points.
 * @throws AppError `invalid` by the function it returns, where an address may not be asked.
 */
export function createIssuerFetch(
  check: AddressCheck,
  { timeoutMs, maxAnswerBytes }: IssuerFetchBounds = usualBounds,
): { fetch: IssuerFetch; stop(): Promise<void> } {
  const agent = new Agent({
    connect: { lookup: check.lookup, timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: maxAnswerBytes,
    connections: 8,
  });
  return {
    async fetch(address, init = {}) {
      const url = new URL(address);
      const objection = check.objectionTo(url);
      if (objection !== null) {
        throw new AppError('invalid', `The issuer's address ${objection}.`, {
          errors: [{ path: 'issuer', message: objection }],
        });
      }
      const { statusCode, headers, body } = await request(url, {
        dispatcher: agent,
        method: (init.method ?? 'GET') as 'GET' | 'POST',
        headers: { 'user-agent': 'gatehouse', ...init.headers },
        body: init.body ?? null,
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await body.text();
      const type = headers['content-type'];
      return new Response(statusCode === 204 || statusCode === 304 ? null : text, {
        status: statusCode,
        headers: typeof type === 'string' ? { 'content-type': type } : {},
      });
    },
    stop: () => agent.destroy(),
  };
}
