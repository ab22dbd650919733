import { compactVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { isUuid } from '../../platform/ids.ts';
import { countsNow, isFor } from './claim-times.ts';
import type { ReadJwt } from './read-jwt.ts';
import { accessTokenSeconds, type SigningKeys } from './signing-keys.ts';

/** RFC 9068: a token for access says so, and one made for another purpose is none. */
const tokenType = 'at+jwt';

/** Whom a token stands for: a user, or an API key in whose place it is used. */
export type TokenSubject =
  | {
      readonly kind: 'user';
      readonly userId: string;
      readonly familyId: string;
      readonly epoch: bigint;
      readonly role: string;
      readonly groups: readonly string[];
    }
  | { readonly kind: 'key'; readonly keyId: string };

export interface AccessToken {
  readonly id: string;
  /** Of the key that signed it. */
  readonly keyId: string;
  readonly tenantId: string;
  readonly subject: TokenSubject;
  readonly madeAtMs: number;
  readonly expiresAtMs: number;
}

const claimsOfOurs = z.object({
  jti: z.string().refine(isUuid),
  tenant: z.string().refine(isUuid),
  sub: z.string(),
  role: z.string(),
  groups: z.array(z.string()),
  exp: z.number(),
  /** Milliseconds of the instant whose seconds are `iat`. */
  made: z.number().int(),
  key_id: z.string().optional(),
  sid: z.string().refine(isUuid).optional(),
  epoch: z
    .string()
    .regex(/^\d{1,19}$/)
    .optional(),
});

export interface TokenParties {
  /** `iss` of our tokens. */
  readonly issuer: string;
  /** `aud` of our tokens. */
  readonly audience: string;
}

/** Signs access tokens with Ed25519, for 15 minutes (ACC-3). */
export async function signAccessToken(
  keys: Pick<SigningKeys, 'signing'>,
  parties: TokenParties,
  token: Omit<AccessToken, 'keyId' | 'expiresAtMs'> & {
    readonly role: string;
    readonly groups: readonly string[];
    readonly permissions: readonly string[];
  },
): Promise<string> {
  const { id: kid, privateKey } = await keys.signing();
  const { subject } = token;
  const iat = Math.floor(token.madeAtMs / 1000);
  return new SignJWT({
    tenant: token.tenantId,
    role: token.role,
    permissions: token.permissions,
    groups: token.groups,
    made: token.madeAtMs,
    ...(subject.kind === 'key'
      ? { key_id: subject.keyId, client_id: subject.keyId }
      : { sid: subject.familyId, epoch: subject.epoch.toString() }),
  })
    .setProtectedHeader({ alg: 'EdDSA', kid, typ: tokenType })
    .setIssuer(parties.issuer)
    .setAudience(parties.audience)
    .setSubject(subject.kind === 'key' ? `key:${subject.keyId}` : subject.userId)
    .setJti(token.id)
    .setIssuedAt(iat)
    .setExpirationTime(iat + accessTokenSeconds)
    .sign(privateKey);
}

/**
 * Believes a token that says it is ours, or does not. Which key it is verified with follows from the ids of our own keys, and
 * with which algorithm from ourselves.
 * @returns null for whatever is wrong with it.
 */
export async function verifyAccessToken(
  keys: Pick<SigningKeys, 'verifying'>,
  parties: TokenParties,
  token: string,
  { alg, kid, type, claims }: ReadJwt,
  nowMs: number,
): Promise<AccessToken | null> {
  if (alg !== 'EdDSA' || kid === null || type !== tokenType) return null;
  if (claims.iss !== parties.issuer || !isFor(claims, [parties.audience]) || !countsNow(claims, nowMs))
    return null;
  const key = await keys.verifying(kid);
  if (!key) return null;
  const verified = await compactVerify(token, key, { algorithms: ['EdDSA'] }).catch(() => null);
  const said = verified && claimsOfOurs.safeParse(claims);
  if (!said?.success) return null;
  const { jti, tenant, sub, role, groups, exp, made, key_id, sid, epoch } = said.data;
  const common = { id: jti, keyId: kid, tenantId: tenant, madeAtMs: made, expiresAtMs: exp * 1000 };
  if (key_id !== undefined) return { ...common, subject: { kind: 'key', keyId: key_id } };
  if (sid === undefined || epoch === undefined || !isUuid(sub)) return null;
  return {
    ...common,
    subject: { kind: 'user', userId: sub, familyId: sid, epoch: BigInt(epoch), role, groups },
  };
}
