import { hash } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import type { Principal, TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import { signAccessToken, type TokenParties } from './access-token.ts';
import { ofFamily, refreshTokenForm } from './end-tokens.ts';
import type { Revocations } from './revocations.ts';
import { accessTokenSeconds, type SigningKeys } from './signing-keys.ts';
import type { FamilyRow, TokensStore, TokenUser } from './tokens.store.ts';

/** What whoever signs in with a password shows. */
export interface PasswordSignIn {
  readonly email: string;
  readonly password: string;
  /** Of the second factor, where there is one. */
  readonly otp?: string | undefined;
  readonly recoveryCode?: string | undefined;
  /** The network that asks, as limits know it. */
  readonly network: string;
}

/** Who got tokens, and for what. */
export interface SignedIn {
  readonly targetType: 'user' | 'api_key';
  readonly targetId: string;
  readonly by: 'password' | 'password+code' | 'client_credentials';
}

/** What giving tokens needs of tenants, roles, keys and people. */
export interface GivingSurroundings {
  readonly tenant: (idOrSlug: string) => TenantFacts | undefined;
  readonly roleOf: (tenantId: string, name: string) => RoleFacts;
  /** @throws AppError `unauthenticated`. */
  readonly authenticateKey: (key: string) => Principal | Promise<Principal>;
  /** @throws AppError `unauthenticated`, the same whatever is wrong. */
  readonly checkPassword: (
    given: PasswordSignIn,
  ) => Promise<{ readonly userId: string; readonly tenantId: string }>;
  /** Tells the audit log that tokens were given for a password or a key. */
  readonly noteSignIn: (tenantId: string, by: SignedIn) => Promise<void>;
  /** @throws AppError `second_factor_required` for whoever needs one-time codes by now and has none. */
  readonly refuseWithoutFactor: (user: TokenUser) => Promise<void>;
}

/** What a sign-in gives. */
export interface GivenTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** Absent for applications: their key is what lasts. */
  readonly refreshToken: string | null;
}

/** Refresh tokens are renewed at each use, and none of a sign-in outlives this. */
const familyLifetimeMs = 30 * 24 * 3_600_000;
const refreshPrefix = 'ghr_';

/** Tokens for whoever shows a password, a refresh token or an API key. */
export function createTokenGiving(
  deps: {
    readonly store: TokensStore;
    readonly keys: Pick<SigningKeys, 'signing'>;
    readonly revocations: Revocations;
    readonly parties: TokenParties;
    readonly clock: Pick<Clock, 'now'>;
    readonly newId: NewId;
    readonly random: Pick<Random, 'bytes'>;
    readonly log: Log;
    /** Counts the failure. */
    readonly unauthenticated: (detail: string) => AppError;
  },
  around: GivingSurroundings,
) {
  const { store, keys, revocations, clock, log, unauthenticated } = deps;
  const nowMs = () => clock.now().getTime();

  const newRefreshToken = () => {
    const token = refreshPrefix + deps.random.bytes(32).toString('base64url');
    return { token, tokenHash: hashOf(token) };
  };

  const accessTokenOf = async (user: TokenUser, familyId: string): Promise<string> => {
    const role = around.roleOf(user.tenant_id, user.role);
    return signAccessToken(keys, deps.parties, {
      id: deps.newId(),
      tenantId: user.tenant_id,
      subject: {
        kind: 'user',
        userId: user.id,
        familyId,
        epoch: user.token_epoch,
        role: user.role,
        groups: user.groups,
      },
      madeAtMs: nowMs(),
      role: role.name,
      groups: user.groups,
      permissions: role.permissions,
    });
  };

  /** @throws AppError `tenant_suspended`, `unauthenticated`. */
  const refuseSuspended = (tenantId: string, role: string): void => {
    const tenant = around.tenant(tenantId);
    if (!tenant) throw unauthenticated('This account belongs to no tenant.');
    if (tenant.status === 'suspended' && role !== 'owner') {
      throw new AppError('tenant_suspended', `The tenant ${tenant.slug} is suspended.`);
    }
  };

  /** Tokens of somebody who has proved who they are. @throws AppError `unauthenticated`, `tenant_suspended`. */
  const ofUser = async (userId: string): Promise<GivenTokens> => {
    const user = await store.user(userId);
    if (!user || user.disabled_at !== null) throw unauthenticated('This account is not active.');
    refuseSuspended(user.tenant_id, user.role);
    const now = clock.now();
    const family: FamilyRow = {
      id: deps.newId(),
      tenant_id: user.tenant_id,
      user_id: user.id,
      created_at: now,
      expires_at: new Date(now.getTime() + familyLifetimeMs),
      ended_at: null,
      end_reason: null,
    };
    const accessToken = await accessTokenOf(user, family.id);
    const refresh = newRefreshToken();
    await store.addFamily(family, refresh.tokenHash);
    return { accessToken, expiresInSeconds: accessTokenSeconds, refreshToken: refresh.token };
  };

  return {
    /** @throws AppError `unauthenticated`, `tenant_suspended`, `overloaded`. */
    async byPassword(given: PasswordSignIn): Promise<GivenTokens> {
      const { userId, tenantId } = await around.checkPassword(given);
      const tokens = await ofUser(userId);
      const hasCode = given.otp !== undefined || given.recoveryCode !== undefined;
      const by = hasCode ? 'password+code' : 'password';
      await around.noteSignIn(tenantId, { targetType: 'user', targetId: userId, by });
      return tokens;
    },

    ofUser,

    /**
     * Renews. A refresh token that was used before has been copied: whoever holds its successors is signed out too.
     * @throws AppError `unauthenticated`, the same for an unknown, an expired and a used one; `tenant_suspended`;
     *   `second_factor_required` where one is required by now.
     */
    async byRefreshToken(presented: string): Promise<GivenTokens> {
      const refuse = () => unauthenticated('This refresh token is not valid any more. Sign in again.');
      if (!refreshTokenForm.test(presented)) throw refuse();
      const next = newRefreshToken();
      const done = await store.refresh(hashOf(presented), next.tokenHash, clock.now(), (family) =>
        ofFamily(family, nowMs()),
      );
      if (done.outcome === 'reused') {
        revocations.add(ofFamily(done.family, nowMs()), nowMs());
        log.warn({ family: done.family.id }, 'a refresh token was used twice; its sign-in has ended');
      }
      if (done.outcome !== 'renewed') throw refuse();
      refuseSuspended(done.user.tenant_id, done.user.role);
      await around.refuseWithoutFactor(done.user);
      return {
        accessToken: await accessTokenOf(done.user, done.family.id),
        expiresInSeconds: accessTokenSeconds,
        refreshToken: next.token,
      };
    },

    /**
     * A short-lived token in place of an API key, with the key's rights, for as long as the key has them.
     * @param clientId the key's id.
     * @param clientSecret the whole key, or what of it follows the id.
     * @throws AppError `unauthenticated`, `tenant_suspended`.
     */
    async byClientCredentials(clientId: string, clientSecret: string): Promise<GivenTokens> {
      const key = clientSecret.startsWith('gh_') ? clientSecret : `gh_${clientId}${clientSecret}`;
      const principal = await around.authenticateKey(key);
      if (principal.keyId !== clientId)
        throw unauthenticated('This id and secret belong to no key together.');
      const accessToken = await signAccessToken(keys, deps.parties, {
        id: deps.newId(),
        tenantId: principal.tenantId,
        subject: { kind: 'key', keyId: principal.keyId },
        madeAtMs: nowMs(),
        role: principal.role,
        groups: principal.groups,
        permissions: [...principal.permissions],
      });
      await around.noteSignIn(principal.tenantId, {
        targetType: 'api_key',
        targetId: principal.keyId,
        by: 'client_credentials',
      });
      return { accessToken, expiresInSeconds: accessTokenSeconds, refreshToken: null };
    },
  };
}

function hashOf(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}
