import { strictJsonObject } from './strict-json.ts';

/** Ours have about 700 characters; issuers elsewhere put groups by the hundred into theirs. */
const maxJwtLength = 16 * 1024;

export interface ReadJwt {
  readonly alg: string;
  readonly kid: string | null;
  /** What kind of token it says it is, in lower case; `jwt` when it does not say. */
  readonly type: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

const form = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const maxKidLength = 200;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Whether something presented as a credential is meant as a JWT (`{"` in base64url): it is then judged as nothing else. */
export function looksLikeJwt(token: string): boolean {
  return token.startsWith('eyJ') && token.includes('.');
}

/**
 * Takes a JWT (RFC 7519, JWS compact form) apart without believing it. Of the header only `alg` and `kid` are looked at:
 * what else can name a key (`jwk`, `jku`, `x5c`, `x5u`) is the sender's word on whom to believe. `crit` demands something of us
 * that we do not do, so such a token is refused (RFC 7515, 4.1.11).
 * @returns null when it is none, is longer than `maxJwtLength`, is unsigned, or could be read in two ways.
 */
export function readJwt(token: string): ReadJwt | null {
  if (token.length > maxJwtLength) return null;
  const parts = form.exec(token);
  if (!parts) return null;
  const [, head = '', body = '', signature = ''] = parts;
  const header = objectIn(head);
  const claims = objectIn(body);
  if (header === null || claims === null || bytesOf(signature) === null) return null;
  const { alg, kid = null, typ = 'JWT' } = header;
  if ('crit' in header || 'b64' in header || typeof alg !== 'string' || typeof typ !== 'string') return null;
  if (kid !== null && (typeof kid !== 'string' || kid.length > maxKidLength)) return null;
  return { alg, kid, type: typ.toLowerCase(), claims };
}

function objectIn(part: string): Record<string, unknown> | null {
  const bytes = bytesOf(part);
  if (bytes === null) return null;
  try {
    return strictJsonObject(utf8.decode(bytes));
  } catch {
    return null;
  }
}

/** Bits beyond the last byte have to be zero: else one token had several spellings, and revoking one of them meant little. */
function bytesOf(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}
