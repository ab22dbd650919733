import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  type CookieName,
  cookieOf,
  csrfTokenOf,
  isCsrfToken,
  isSecure,
  setCookie,
} from './session-cookies.ts';

const request = (headers: Record<string, string>, socket: object = new Socket()) => ({
  method: 'GET',
  headers,
  raw: { socket: socket as Socket },
});
const secret = 'A'.repeat(43);

describe('a cookie', () => {
  it.each<[CookieName, string]>([
    ['session', `__Host-gatehouse=x; Path=/; Max-Age=60; SameSite=Lax; HttpOnly; Secure`],
    ['sign-in', `__Host-gatehouse-sign-in=x; Path=/; Max-Age=60; SameSite=Lax; HttpOnly; Secure`],
    // Pages read this one: it is what they send back to show that they could.
    ['csrf', `__Host-gatehouse-csrf=x; Path=/; Max-Age=60; SameSite=Lax; Secure`],
  ])('%s is for this host and TLS only, where there is TLS', (name, line) => {
    expect(setCookie(name, 'x', 60, true)).toBe(line);
    expect(setCookie(name, 'x', 60, false)).toBe(line.replace('__Host-', '').replace('; Secure', ''));
  });

  it('counts when it came once, under the name that it was given', () => {
    const of = (cookie: string, secure = true) => cookieOf(request({ cookie }), 'session', secure);
    expect(of(`a=b; __Host-gatehouse=${secret}; c=d`)).toBe(secret);
    expect(of(`gatehouse=${secret}`, false)).toBe(secret);
    for (const planted of [
      `__Host-gatehouse=${secret}; __Host-gatehouse=${'B'.repeat(43)}`,
      `gatehouse=${secret}`,
      `x__Host-gatehouse=${secret}`,
      `__host-gatehouse=${secret}`,
      '__Host-gatehouse-csrf=x',
      '',
    ]) {
      expect([planted, of(planted)]).toEqual([planted, undefined]);
    }
  });
});

describe('whether the browser speaks TLS', () => {
  it('is what the connection, the configuration or a proxy says', () => {
    expect(isSecure(request({}), null)).toBe(false);
    expect(isSecure(request({}), 'http://gatehouse.example')).toBe(false);
    expect(isSecure(request({}), 'https://gatehouse.example')).toBe(true);
    expect(isSecure(request({}, { encrypted: true }), null)).toBe(true);
    expect(isSecure(request({ 'x-forwarded-proto': 'https' }), null)).toBe(true);
  });

  it('is never unsaid by a caller', () => {
    const lying = { 'x-forwarded-proto': 'http' };
    expect(isSecure(request(lying), 'https://gatehouse.example')).toBe(true);
    expect(isSecure(request(lying, { encrypted: true }), null)).toBe(true);
  });
});

describe('a CSRF token', () => {
  it('is that of one session, whole and unchanged, and tells nothing of its secret', () => {
    const token = csrfTokenOf(secret);
    expect(isCsrfToken(token, secret)).toBe(true);
    expect(token).not.toContain(secret.slice(0, 8));
    for (const other of [
      undefined,
      '',
      token.slice(1),
      `${token}x`,
      secret,
      csrfTokenOf('B'.repeat(43)),
      [token],
    ]) {
      expect([other, isCsrfToken(other, secret)]).toEqual([other, false]);
    }
  });
});
