import { compactVerify } from 'jose';
import type { Attributes } from '../../attributes/attributes.ts';
import { countsNow, isFor } from '../claim-times.ts';
import type { ReadJwt } from '../read-jwt.ts';
import { mapClaims } from './claim-mapping.ts';
import type { TrustedIssuer } from './trusted-issuers.ts';

/** What one who trusts an issuer takes from a token of it. */
export interface IssuedToken {
  readonly by: TrustedIssuer;
  /** Of the keys that it was verified with. */
  readonly keysVersion: number;
  readonly tenantId: string;
  /** Its `jti`; empty when it has none. */
  readonly id: string;
  readonly subject: string;
  readonly role: string;
  readonly groups: readonly string[];
  readonly attributes: Attributes;
  readonly madeAtMs: number;
  /** From then on it counts for nothing. */
  readonly endsAtMs: number;
}

/** What access tokens and ID tokens say they are (RFC 9068, 2.1). Tokens for logging out, events or proofs are none of them. */
const types: readonly string[] = ['jwt', 'at+jwt', 'application/at+jwt'];
/** Keys of one id that are tried. */
const maxTried = 4;
const maxIdLength = 200;

/**
 * Believes a token of an issuer elsewhere, or does not.
 * @returns null for whatever is wrong with it. @throws AppError `overloaded`, as the issuer's keys do.
 */
export async function verifyIssuedToken(
  by: TrustedIssuer,
  token: string,
  { alg, kid, type, claims }: ReadJwt,
  nowMs: number,
): Promise<IssuedToken | null> {
  const { settings, keys } = by;
  if (!settings.algorithms.includes(alg) || !types.includes(type)) return null;
  if (claims.iss !== settings.issuer || !isFor(claims, settings.audiences)) return null;
  const skewMs = settings.clock_skew_seconds * 1000;
  if (!countsNow(claims, nowMs, settings.clock_skew_seconds) || typeof claims.iat !== 'number') return null;
  // One that is bound to a key or certificate (RFC 7800) is nothing by itself, and we do not ask for the proof.
  if (claims.cnf !== undefined) return null;
  const madeAtMs = claims.iat * 1000;
  const endsAtMs = Math.min(Number(claims.exp) * 1000, madeAtMs + settings.max_age_seconds * 1000) + skewMs;
  if (endsAtMs <= nowMs) return null;

  const found = keys.find(alg, kid);
  const candidates = found instanceof Promise ? await found : found;
  const keysVersion = keys.version;
  if (!(await isSignedByOneOf(token, alg, candidates))) return null;
  const caller = mapClaims(settings.mapping, claims);
  const tenantId = settings.tenant_id ?? caller?.tenantId ?? null;
  if (caller === null || tenantId === null) return null;
  const { jti } = claims;
  const id = typeof jti === 'string' && jti.length <= maxIdLength ? jti : '';
  return { ...caller, by, keysVersion, tenantId, id, madeAtMs, endsAtMs };
}

async function isSignedByOneOf(
  token: string,
  alg: string,
  candidates: Awaited<ReturnType<TrustedIssuer['keys']['find']>>,
): Promise<boolean> {
  for (const { key } of candidates.slice(0, maxTried)) {
    const verified = await compactVerify(token, key, { algorithms: [alg] }).catch(() => null);
    if (verified) return true;
  }
  return false;
}
