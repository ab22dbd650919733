import { constants, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { closed } from './issuer.ts';

/** A key pair of an issuer, and how it publishes it. */
export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** An issuer that says whatever a test wants it to say. */
export interface TokenIssuer {
  readonly url: string;
  readonly jwksUri: string;
  /** What its key set holds. */
  keys: IssuerKey[];
  /** Answers in place of it; null: it answers itself. */
  instead: ((request: IncomingMessage, response: ServerResponse) => void) | null;
  /** Requests so far. */
  readonly asked: () => number;
  /** A token of its newest key, that counts now for `gatehouse`. */
  token(claims?: object, header?: object): string;
  stop(): Promise<void>;
}

export const testAudience = 'https://api.gatehouse.example';

export async function startTokenIssuer(first: IssuerKey = newIssuerKey('RS256')): Promise<TokenIssuer> {
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    if (issuer.instead !== null) return issuer.instead(request, response);
    response.setHeader('content-type', 'application/json');
    if (request.url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: issuer.jwksUri }));
    else if (request.url === '/jwks') response.end(keySetOf(issuer.keys));
    else response.writeHead(404).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: TokenIssuer = {
    url,
    jwksUri: `${url}/jwks`,
    keys: [first],
    instead: null,
    asked: () => asked,
    token(claims = {}, header = {}) {
      const key = issuer.keys.at(-1);
      if (!key) throw new Error('it has no key');
      return signedBy(key, { ...claimsNow(url), ...claims }, header);
    },
    stop: () => closed(server),
  };
  return issuer;
}

export function claimsNow(issuer: string): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return { iss: issuer, aud: testAudience, sub: 'alice', iat: now, exp: now + 300, roles: ['reader'] };
}

let made = 0;
export function newIssuerKey(
  alg: string,
  options: { readonly bits?: number; readonly kid?: string } = {},
): IssuerKey {
  const { publicKey, privateKey } = pairFor(alg, options.bits ?? 2_048);
  const kid = options.kid ?? `key-${++made}`;
  return {
    kid,
    alg,
    publicKey,
    privateKey,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' },
  };
}

export function keySetOf(keys: readonly IssuerKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

/** A token with whatever header and claims, signed as `key.alg` says. */
export function signedBy(key: IssuerKey, claims: unknown, header: object = {}): string {
  const head = { alg: key.alg, kid: key.kid, typ: 'JWT', ...header };
  const body = `${encoded(head)}.${encoded(claims)}`;
  return `${body}.${signature(key, body).toString('base64url')}`;
}

export function encoded(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

function signature({ alg, privateKey: key }: IssuerKey, body: string): Buffer {
  const bytes = Buffer.from(body);
  const digest = `sha${alg.slice(2)}`;
  if (alg.startsWith('RS')) return signBytes(digest, bytes, key);
  if (alg.startsWith('PS')) {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return signBytes(digest, bytes, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  }
  if (alg.startsWith('ES')) return signBytes(digest, bytes, { key, dsaEncoding: 'ieee-p1363' });
  return signBytes(null, bytes, key);
}

function pairFor(alg: string, modulusLength: number) {
  const curves: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
  const namedCurve = curves[alg];
  if (namedCurve) return generateKeyPairSync('ec', { namedCurve });
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength });
}
