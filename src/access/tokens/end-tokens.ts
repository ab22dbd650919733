import { hash } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { notFound } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';
import type { Principal } from '../principal.ts';
import type { AccessToken } from './access-token.ts';
import { skewSeconds } from './claim-times.ts';
import { isIssuedUserId } from './issuers/issued-user.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { accessTokenSeconds } from './signing-keys.ts';
import type { FamilyRow, TokensStore } from './tokens.store.ts';

export const refreshTokenForm = /^ghr_[A-Za-z0-9_-]{43}$/;

/** From the last signature until no token of ours is accepted. */
const tokenAfterlifeMs = (accessTokenSeconds + skewSeconds) * 1000;
/** From when a token of an issuer elsewhere was made until it counts for nothing, at most: a week, as settings allow. */
const issuedAfterlifeMs = (604_800 + 600) * 1000;

/** How tokens end before their time: here at once, elsewhere within a second. */
export function createTokenEndings(deps: {
  readonly store: TokensStore;
  readonly revocations: Revocations;
  readonly readRevocations: () => Promise<void>;
  /** An access token of ours; null for anything else. */
  readonly readToken: (presented: string) => Promise<AccessToken | null> | null;
  readonly clock: Pick<Clock, 'now'>;
}) {
  const { store, revocations, clock } = deps;
  const nowMs = () => clock.now().getTime();
  const revoke = async (scope: Parameters<TokensStore['revoke']>[0], named: Revocation): Promise<void> => {
    revocations.add(await store.revoke(scope, named, nowMs()), nowMs());
  };

  return {
    /**
     * Ends what is presented: a refresh token with its whole sign-in, or one access token. Anything else is no token any
     * more, which is what was asked for (RFC 7009, 2.2).
     */
    async revoke(presented: string): Promise<void> {
      if (refreshTokenForm.test(presented)) {
        const digest = hash('sha256', presented, 'buffer');
        const family = await store.endByToken(digest, clock.now(), (row) => ofFamily(row, nowMs()));
        if (family) revocations.add(ofFamily(family, nowMs()), nowMs());
        return;
      }
      const token = await deps.readToken(presented);
      if (!token) return;
      await revoke(
        { tenantId: token.tenantId, readerTokens: [] },
        {
          tenantId: token.tenantId,
          kind: 'token',
          subject: token.id,
          before: 0n,
          expiresAtMs: token.expiresAtMs + skewSeconds * 1000,
        },
      );
    },

    /** Ends all tokens so far of a user in the caller's tenant. @throws AppError `not_found`. */
    async revokeUser(principal: Principal, userId: string): Promise<void> {
      if (isIssuedUserId(userId)) {
        // Nobody here knows who there is at an issuer elsewhere, so this is not asked.
        return revoke(principal, {
          tenantId: principal.tenantId,
          kind: 'user',
          subject: userId,
          before: BigInt(nowMs()) + 1n,
          expiresAtMs: nowMs() + issuedAfterlifeMs,
        });
      }
      if (!isUuid(userId) || !(await store.endTokensOfUser(principal, userId, clock.now())))
        throw notFound('user');
      await deps.readRevocations();
    },

    /** Refuses one token by its id (`jti`), whoever made it and whoever holds it. */
    revokeToken: (principal: Principal, tokenId: string): Promise<void> =>
      revoke(principal, {
        tenantId: principal.tenantId,
        kind: 'token',
        subject: tokenId,
        before: 0n,
        expiresAtMs: nowMs() + issuedAfterlifeMs,
      }),

    /** Ends all tokens so far of the caller's tenant. Keys stay. */
    async revokeTenant(principal: Principal): Promise<void> {
      const { tenantId } = principal;
      await store.endFamiliesOfTenant(principal, clock.now());
      await revoke(principal, {
        tenantId,
        kind: 'tenant',
        subject: tenantId,
        before: BigInt(nowMs()),
        expiresAtMs: nowMs() + issuedAfterlifeMs,
      });
    },
  };
}

/** The revocation of all access tokens that came of a sign-in. */
export function ofFamily({ id, tenant_id }: FamilyRow, nowMs: number): Revocation {
  return {
    tenantId: tenant_id,
    kind: 'family',
    subject: id,
    before: 0n,
    expiresAtMs: nowMs + tokenAfterlifeMs,
  };
}
