import { createPublicKey, type KeyObject } from 'node:crypto';

/** A public key that signatures may be checked with. */
export interface UsableKey {
  readonly kid: string | null;
  /** The one algorithm that it is for; null: any of its kind. */
  readonly alg: string | null;
  /** `RSA`, or the name of its curve. */
  readonly kind: KeyKind;
  readonly key: KeyObject;
}

type KeyKind = 'RSA' | 'P-256' | 'P-384' | 'P-521' | 'Ed25519';

/** What signs with which kind of key. Nothing here has a secret that whoever checks would know, too. */
const kindOfAlgorithm: Readonly<Record<string, KeyKind>> = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
};

export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Issuers publish a handful. */
const maxKeys = 100;
const maxKidLength = 200;
/** Below is within reach of those who factor (RFC 7518, 3.3 asks for it, too); above, each check takes long. */
const rsaBits = { least: 2_048, most: 8_192 } as const;

/**
 * Reads a JWK set (RFC 7517). Keys that are for another use, weak, secret or not understood are left out.
 * @returns null when `text` is no such set.
 */
export function readKeySet(text: string): readonly UsableKey[] | null {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return null;
  }
  const keys = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) return null;
  return keys.slice(0, maxKeys).flatMap((jwk) => usableKey(jwk) ?? []);
}

/** Those that may have made a signature. A token that names no key is believed only where there is one. */
export function keysFor(
  keys: readonly UsableKey[],
  algorithm: string,
  kid: string | null,
): readonly UsableKey[] {
  const kind = kindOfAlgorithm[algorithm];
  const fitting = keys.filter((key) => key.kind === kind && (key.alg === null || key.alg === algorithm));
  if (kid !== null) return fitting.filter((key) => key.kid === kid);
  return fitting.length === 1 ? fitting : [];
}

function usableKey(jwk: unknown): UsableKey | null {
  if (typeof jwk !== 'object' || jwk === null) return null;
  const { kty, use, key_ops, alg, kid, crv, n, e, x, y, d, k } = jwk as Record<string, unknown>;
  // Whoever publishes the private half has no secret left to sign with.
  if (d !== undefined || k !== undefined) return null;
  if (use !== undefined && use !== 'sig') return null;
  if (key_ops !== undefined && !(Array.isArray(key_ops) && key_ops.includes('verify'))) return null;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > maxKidLength)) return null;
  const kind = kty === 'RSA' ? 'RSA' : kty === 'EC' || kty === 'OKP' ? crv : null;
  if (alg !== undefined && (typeof alg !== 'string' || kindOfAlgorithm[alg] !== kind)) return null;
  const members = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x };
  const key = publicKeyOf(members);
  if (key === null || !isStrong(key, kind)) return null;
  return { kid: kid ?? null, alg: alg ?? null, kind: kind as KeyKind, key };
}

function publicKeyOf(members: Record<string, unknown>): KeyObject | null {
  if (Object.values(members).some((value) => typeof value !== 'string')) return null;
  try {
    return createPublicKey({ key: members as Record<string, string>, format: 'jwk' });
  } catch {
    return null;
  }
}

function isStrong(key: KeyObject, kind: unknown): boolean {
  if (kind !== 'RSA') return kind === 'Ed25519' || kind === 'P-256' || kind === 'P-384' || kind === 'P-521';
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const { least, most } = rsaBits;
  return (
    modulusLength >= least && modulusLength <= most && publicExponent >= 3n && publicExponent < 2n ** 33n
  );
}
