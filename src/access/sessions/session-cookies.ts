import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';

/** What of a request tells how it came, and which cookies came with it. */
export interface BrowserRequest {
  readonly method: string;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly raw: { readonly socket: Socket };
}

/** Browsers take a cookie of this prefix from the very host over TLS only, and never for subdomains (RFC 6265bis). */
const hostPrefix = '__Host-';
const sessionName = 'gatehouse';
const csrfName = 'gatehouse-csrf';

/** Which cookie is whose: `session` and `csrf` of whoever is signed in, `sign-in` of a sign-in at an issuer. */
export type CookieName = 'session' | 'csrf' | 'sign-in';

/**
 * @param publicUrl where callers reach this server, when it was configured.
 * @returns whether the browser speaks TLS, to us or to a proxy. `X-Forwarded-Proto` is believed of anybody: who lies about
 *   it gets a cookie that their own browser does not keep.
 */
export function isSecure(request: BrowserRequest, publicUrl: string | null): boolean {
  if (publicUrl?.startsWith('https:') || 'encrypted' in request.raw.socket) return true;
  return request.headers['x-forwarded-proto'] === 'https';
}

/** The value of a cookie; undefined when it did not come, or came twice: then somebody planted one of them. */
export function cookieOf(request: BrowserRequest, name: CookieName, secure: boolean): string | undefined {
  const header = request.headers.cookie;
  if (typeof header !== 'string') return undefined;
  const wanted = `${fullName(name, secure)}=`;
  const found = header
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(wanted));
  return found.length === 1 ? found[0]?.slice(wanted.length) : undefined;
}

/** A `Set-Cookie` line. @param maxAgeSeconds 0 takes the cookie away. */
export function setCookie(name: CookieName, value: string, maxAgeSeconds: number, secure: boolean): string {
  const parts = [`${fullName(name, secure)}=${value}`, 'Path=/', `Max-Age=${maxAgeSeconds}`, 'SameSite=Lax'];
  // Pages read the CSRF token and send it back; that is what it is for.
  if (name !== 'csrf') parts.push('HttpOnly');
  if (secure) parts.push('Secure');
  return parts.join('; ');
}

/**
 * The CSRF token that belongs to a session: made from the session's secret, so a page of another origin, or a cookie
 * planted by a neighbouring domain, cannot have it, and nothing need be stored.
 */
export function csrfTokenOf(sessionToken: string): string {
  return createHmac('sha256', sessionToken).update('gatehouse csrf').digest('base64url');
}

export function isCsrfToken(presented: string | string[] | undefined, sessionToken: string): boolean {
  if (typeof presented !== 'string') return false;
  const wanted = Buffer.from(csrfTokenOf(sessionToken));
  const given = Buffer.from(presented);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** Methods that change nothing, and so need no CSRF token. */
export function isSafeMethod(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

function fullName(name: CookieName, secure: boolean): string {
  const plain = { session: sessionName, csrf: csrfName, 'sign-in': 'gatehouse-sign-in' }[name];
  return secure ? `${hostPrefix}${plain}` : plain;
}
