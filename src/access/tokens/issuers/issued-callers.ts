import { createBoundedCache } from '../../../platform/bounded-cache.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { AppError } from '../../../platform/errors.ts';
import type { Principal, TenantFacts } from '../../principal.ts';
import type { RoleFacts } from '../../roles/role-facts.ts';
import { isFor } from '../claim-times.ts';
import type { ReadJwt } from '../read-jwt.ts';
import type { RevocableToken } from '../revocations.ts';
import { principalOfUser } from '../user-principal.ts';
import { type IssuedToken, verifyIssuedToken } from './issued-token.ts';
import { issuedUserId } from './issued-user.ts';
import type { Trust, TrustedIssuers } from './trusted-issuers.ts';

export interface IssuedCallersDependencies {
  readonly trusted: Pick<TrustedIssuers, 'by'>;
  readonly tenant: (idOrSlug: string) => TenantFacts | undefined;
  readonly roleOf: (tenantId: string, name: string) => RoleFacts;
  readonly isRevoked: (token: RevocableToken) => boolean;
  /** The refusal, the same whatever is wrong. */
  readonly invalidToken: () => AppError;
  /** The refusal of a token that is right, and that several tenants accept. */
  readonly ambiguousToken: () => AppError;
  readonly clock: Pick<Clock, 'now'>;
}

/** Verified tokens in memory, some 2 KiB each. */
const maxKnownTokens = 10_000;
/** Settings that one token is held against: of one tenant there are no more. */
const maxTried = 20;

interface KnownToken {
  readonly trust: Trust;
  readonly read: ReadJwt;
  readonly token: IssuedToken;
  readonly revocable: RevocableToken;
  made: { readonly principal: Principal; readonly role: RoleFacts } | null;
}

export type IssuedCallers = ReturnType<typeof createIssuedCallers>;

/** Callers with tokens of issuers elsewhere. One that was verified here before is known without waiting. */
export function createIssuedCallers(deps: IssuedCallersDependencies) {
  const { trusted, clock } = deps;
  const known = createBoundedCache<string, KnownToken>(maxKnownTokens);
  const nowMs = () => clock.now().getTime();
  /** By the tenant that is named, which may be spelled in many ways. */
  const nameOf = (hash: string, tenantHeader: string | undefined) =>
    tenantHeader === undefined ? hash : `${hash} ${deps.tenant(tenantHeader)?.id ?? ''}`;

  /** Whether what was found when it was verified is what would be found now. */
  const isCurrent = ({ trust, token }: KnownToken): boolean =>
    trusted.by(token.by.settings.issuer) === trust && token.by.keys.holds(token.keysVersion);

  /** The caller as of now. @throws AppError `unauthenticated`. */
  const callerOf = (entry: KnownToken): Principal => {
    const { token, revocable } = entry;
    if (token.endsAtMs <= nowMs() || deps.isRevoked(revocable)) throw deps.invalidToken();
    const tenant = deps.tenant(token.tenantId);
    const role = deps.roleOf(token.tenantId, token.role);
    // No setting says so; whatever else might, nobody elsewhere makes owners.
    if (!tenant || role.name === 'owner') throw deps.invalidToken();
    if (entry.made?.principal.tenant !== tenant || entry.made.role !== role) {
      const { groups, attributes, subject, by } = token;
      const vouchedBy = { issuer: by.settings.issuer, subject };
      const user = { userId: revocable.userId ?? '', groups, attributes, vouchedBy };
      entry.made = { principal: principalOfUser(tenant, role, user), role };
    }
    return entry.made.principal;
  };

  /** Those whose word counts for a token. Several tenants' only where nothing says which of them is meant. */
  const concerned = (trust: Trust, { claims }: ReadJwt, tenantHeader: string | undefined): Trust => {
    const meant = trust.filter(({ settings }) => isFor(claims, settings.audiences));
    // Who belongs to which tenant is the platform's to say, where it says anything of an issuer and audience.
    const platforms = meant.filter(({ settings }) => settings.tenant_id === null);
    if (platforms.length > 0) return platforms.slice(0, maxTried);
    const named = tenantHeader === undefined ? undefined : deps.tenant(tenantHeader)?.id;
    const ofNamed = meant.filter(({ settings }) => settings.tenant_id === named);
    return (ofNamed.length > 0 ? ofNamed : meant).slice(0, maxTried);
  };

  /** The oldest settings that accept it decide. */
  const verify = async (token: string, read: ReadJwt, by: Trust): Promise<IssuedToken | null> => {
    for (const one of by) {
      const verified = await verifyIssuedToken(one, token, read, nowMs());
      if (verified) return verified;
    }
    return null;
  };

  /** @throws AppError `unauthenticated`. */
  const look = async (
    token: string,
    hash: string,
    read: ReadJwt,
    tenantHeader: string | undefined,
  ): Promise<Principal> => {
    const trust = trusted.by(String(read.claims.iss));
    if (!trust) throw deps.invalidToken();
    const by = concerned(trust, read, tenantHeader);
    const verified = await verify(token, read, by);
    // Settings that changed while we looked may refuse it by now.
    if (!verified || trusted.by(verified.by.settings.issuer) !== trust) throw deps.invalidToken();
    const severalTenants = by.some(({ settings }) => settings.tenant_id !== by[0]?.settings.tenant_id);
    if (severalTenants && tenantHeader === undefined) throw deps.ambiguousToken();
    const entry = { trust, read, token: verified, revocable: revocableOf(verified), made: null };
    const principal = callerOf(entry);
    // Whoever names a tenant that is none of several is refused as with any other credential, and not remembered.
    if (!severalTenants) known.set(nameOf(hash, tenantHeader), entry);
    return principal;
  };

  return {
    /**
     * @param hash of the token.
     * @returns the caller; undefined for a token that is not known here. @throws AppError `unauthenticated`.
     */
    known(
      token: string,
      hash: string,
      tenantHeader: string | undefined,
    ): Principal | Promise<Principal> | undefined {
      const entry = known.get(nameOf(hash, tenantHeader));
      if (!entry) return undefined;
      return isCurrent(entry) ? callerOf(entry) : look(token, hash, entry.read, tenantHeader);
    },
    look,
  };
}

function revocableOf({ id, tenantId, by, subject, madeAtMs }: IssuedToken): RevocableToken {
  const userId = issuedUserId(tenantId, by.settings.issuer, subject);
  // Of users elsewhere there are no epochs; the instant that their tokens were made at stands for it.
  return { id, tenantId, familyId: null, userId, epoch: BigInt(Math.floor(madeAtMs)), madeAtMs };
}
