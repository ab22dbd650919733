import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from '../platform/api.ts';
import { isModelDialect } from './error-reply.ts';

/** Two years, and for what is below this host, too: a cookie could be planted from there (https://hstspreload.org). */
const strictTransport = 'max-age=63072000; includeSubDomains';

/** Replies of the interface are data: a browser that is led to one shows it, and runs, loads and frames nothing. */
const dataPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/**
 * What browsers are told (HTTP-7). Model calls get what costs them nothing: no browser shows what they answer.
 * @param tls whether callers reach this server by TLS, ended here or at a proxy.
 */
export function securityHeaders(tls: boolean) {
  const always: Record<string, string> = {
    'x-content-type-options': 'nosniff',
    ...(tls ? { 'strict-transport-security': strictTransport } : {}),
  };
  const data: Record<string, string> = {
    ...always,
    'content-security-policy': dataPolicy,
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
  };
  return (request: FastifyRequest, reply: FastifyReply): void => {
    reply.headers(isModelDialect(request.url) ? always : data);
  };
}

/**
 * The reference's own policy, for Fastify's `onSend` on its routes. Scripts are the one that is served beside it and those
 * in the page, each by its hash. Its styles are made by its script while it runs, which no hash can name beforehand.
 */
export function referencePolicy(
  _request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (error: null, payload: unknown) => void,
): void {
  const hashes =
    typeof payload === 'string' && String(reply.getHeader('content-type')).startsWith('text/html')
      ? scriptsIn(payload).map((script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`)
      : [];
  reply.header(
    'content-security-policy',
    [
      "default-src 'none'",
      `script-src ${["'self'", ...hashes].join(' ')}`,
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "font-src 'self' data:",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ].join('; '),
  );
  reply.header('cache-control', 'no-cache');
  done(null, payload);
}

function scriptsIn(page: string): string[] {
  return [...page.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    (found) => found[1] ?? '',
  );
}
