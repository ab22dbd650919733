import { hash } from 'node:crypto';
import { createBoundedCache } from '../../platform/bounded-cache.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import { type AddressCheck, createIssuerFetch } from '../people/issuers/issuer-fetch.ts';
import type { Principal, TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import { type AccessToken, signAccessToken, type TokenParties, verifyAccessToken } from './access-token.ts';
import { skewSeconds } from './claim-times.ts';
import { createTokenEndings, ofFamily, refreshTokenForm } from './end-tokens.ts';
import { createIssuedCallers } from './issuers/issued-callers.ts';
import { createTokenIssuers } from './issuers/issuers.service.ts';
import { createTokenIssuersStore } from './issuers/issuers.store.ts';
import { createKeySets } from './issuers/key-sets.ts';
import { createTrustedIssuers } from './issuers/trusted-issuers.ts';
import { type ReadJwt, readJwt } from './read-jwt.ts';
import { createRevocations, type RevocableToken, type Revocation } from './revocations.ts';
import { createSigningKeysStore } from './signing-keys.store.ts';
import { accessTokenSeconds, createSigningKeys, type Sealing } from './signing-keys.ts';
import { createTokensStore, type FamilyRow, type TokenUser } from './tokens.store.ts';
import { principalOfUser } from './user-principal.ts';

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

/** What tokens need of tenants, roles, keys and people. */
export interface TokenSurroundings {
  readonly tenant: (idOrSlug: string) => TenantFacts | undefined;
  readonly roleOf: (tenantId: string, name: string) => RoleFacts;
  /** As `roleOf`; undefined for a role that is not there. */
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  /** The caller that a key stands for now; undefined when it is not valid any more. */
  readonly principalOfKey: (keyId: string, nowMs: number) => Principal | undefined;
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
  readonly countFailedAuthentication: () => void;
}

export interface TokensDependencies {
  readonly database: Database;
  readonly secrets: Sealing;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
  readonly log: Log;
  /** `iss` and `aud` of our tokens: the same on every instance. */
  readonly parties: TokenParties;
  /** Which addresses issuers elsewhere may have. */
  readonly issuerAddresses: AddressCheck;
  /** Calls back for each message of the channel `tokens_changed`, and after each gap in hearing of them. */
  readonly subscribe: (onChange: (change: string) => void, onGap: () => void) => void;
}

/** What a sign-in gives. */
export interface GivenTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** Absent for applications: their key is what lasts. */
  readonly refreshToken: string | null;
}

export type Tokens = ReturnType<typeof createTokens>;

/** Refresh tokens are renewed at each use, and none of a sign-in outlives this. */
const familyLifetimeMs = 30 * 24 * 3_600_000;
/** Verified tokens in memory, some 2 KiB each. */
const maxKnownTokens = 10_000;
const hourMs = 3_600_000;
const refreshPrefix = 'ghr_';
/** Somebody waits while an issuer tells its keys. */
const keySetBounds = { timeoutMs: 5_000, maxAnswerBytes: 256 * 1024 } as const;

interface KnownToken {
  readonly token: AccessToken;
  readonly revocable: RevocableToken;
  /** Of a user; a key's is asked for anew each time, because it can change. */
  made: { readonly principal: Principal; readonly role: RoleFacts } | null;
}

/**
 * Access tokens, which are verified without a database trip and are short-lived, and the refresh tokens that renew them,
 * which are stored as hashes and used once each. Beside ours, tokens of issuers that tenants and the platform trust.
 */
export function createTokens(deps: TokensDependencies, around: TokenSurroundings) {
  const { clock, log } = deps;
  const store = createTokensStore(deps.database);
  const keys = createSigningKeys({
    store: createSigningKeysStore(deps.database),
    secrets: deps.secrets,
    clock,
    log,
  });
  const revocations = createRevocations();
  const issuerFetch = createIssuerFetch(deps.issuerAddresses, keySetBounds);
  const issuersStore = createTokenIssuersStore(deps.database);
  const trusted = createTrustedIssuers(
    issuersStore.all,
    createKeySets({ fetch: issuerFetch.fetch, clock, log }),
  );
  const known = createBoundedCache<string, KnownToken>(maxKnownTokens);
  const stopping = new AbortController();
  let sweeper: Promise<void> = Promise.resolve();

  const nowMs = () => clock.now().getTime();
  const unauthenticated = (detail: string): AppError => {
    around.countFailedAuthentication();
    return new AppError('unauthenticated', detail);
  };
  const invalidToken = () =>
    unauthenticated(
      'This token is not valid, has expired or was revoked. Get another: from POST /api/v1/auth/token, or your issuer.',
    );
  const issued = createIssuedCallers({
    trusted,
    tenant: around.tenant,
    roleOf: around.roleOf,
    isRevoked: revocations.covers,
    invalidToken,
    ambiguousToken: () =>
      unauthenticated('More than one tenant accepts this token. Name yours in the header X-Tenant-Id.'),
    clock,
  });

  const readRevocations = () =>
    store
      .revocations()
      .then((all) => revocations.addAll(all, nowMs()))
      .catch((error) => log.warn({ err: error }, 'revoked tokens could not be read again'));
  const readIssuers = () =>
    trusted.reload().catch((error) => log.warn({ err: error }, 'issuers of tokens could not be read again'));
  deps.subscribe(
    (change) => {
      const revoked = revocationIn(change);
      if (revoked) revocations.add(revoked, nowMs());
      else if (change === 'token_issuers') void readIssuers();
      else void keys.reload();
    },
    () => {
      void readRevocations();
      void readIssuers();
      void keys.reload();
    },
  );

  /** The caller as of now, whatever was verified when. @throws AppError `unauthenticated`. */
  const callerOf = (entry: KnownToken): Principal => {
    const { token, revocable } = entry;
    const { tenantId, subject } = token;
    const ended = token.expiresAtMs + skewSeconds * 1000 <= nowMs();
    if (ended || revocations.covers(revocable) || !keys.believes(token.keyId)) throw invalidToken();
    if (subject.kind === 'key') {
      const principal = around.principalOfKey(subject.keyId, nowMs());
      if (!principal || principal.tenantId !== tenantId) throw invalidToken();
      return principal;
    }
    const tenant = around.tenant(tenantId);
    if (!tenant) throw invalidToken();
    const role = around.roleOf(tenantId, subject.role);
    if (entry.made?.principal.tenant !== tenant || entry.made.role !== role) {
      entry.made = { principal: principalOfUser(tenant, role, subject), role };
    }
    return entry.made.principal;
  };

  const verify = async (token: string, name: string, read: ReadJwt): Promise<Principal> => {
    const verified = await verifyAccessToken(keys, deps.parties, token, read, nowMs());
    if (!verified) throw invalidToken();
    const entry: KnownToken = { token: verified, revocable: revocableOf(verified), made: null };
    const principal = callerOf(entry);
    known.set(name, entry);
    return principal;
  };

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
    /**
     * @param token looks like a JWT.
     * @param tenantHeader the value of `X-Tenant-Id`: decides where several tenants accept a token of an issuer elsewhere.
     * @returns the caller; synchronously when the token was verified here before.
     * @throws AppError `unauthenticated`, the same whatever is wrong with it.
     */
    authenticate(token: string, tenantHeader?: string): Principal | Promise<Principal> {
      const name = hash('sha256', token);
      const entry = known.get(name);
      if (entry) return callerOf(entry);
      const elsewhere = issued.known(token, name, tenantHeader);
      if (elsewhere) return elsewhere;
      const read = readJwt(token);
      if (!read) throw invalidToken();
      return read.claims.iss === deps.parties.issuer
        ? verify(token, name, read)
        : issued.look(token, name, read, tenantHeader);
    },

    /** Issuers elsewhere whose tokens are accepted. */
    issuers: createTokenIssuers({
      store: issuersStore,
      trusted,
      check: deps.issuerAddresses,
      ownIssuer: deps.parties.issuer,
      tenant: around.tenant,
      role: around.role,
      clock,
      newId: deps.newId,
    }),

    keySet: keys.keySet,
    rotateSigningKey: keys.rotate,

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

    ...createTokenEndings({
      store,
      revocations,
      readRevocations,
      readToken: (presented) => {
        const read = readJwt(presented);
        return read && verifyAccessToken(keys, deps.parties, presented, read, nowMs());
      },
      clock,
    }),

    async start(): Promise<void> {
      await keys.keepFresh();
      await trusted.reload();
      revocations.addAll(await store.revocations(), nowMs());
      sweeper = (async () => {
        while (!stopping.signal.aborted) {
          await clock.sleep(hourMs, stopping.signal).catch(() => {});
          if (stopping.signal.aborted) return;
          await Promise.all([keys.keepFresh(), store.sweep(clock.now())]).catch((error) =>
            log.warn({ err: error }, 'old tokens and keys were not looked after'),
          );
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all([sweeper, issuerFetch.stop()]);
    },
  };
}

function revocableOf({ id, tenantId, subject, madeAtMs }: AccessToken): RevocableToken {
  return subject.kind === 'key'
    ? { id, tenantId, familyId: null, userId: null, epoch: 0n, madeAtMs }
    : { id, tenantId, familyId: subject.familyId, userId: subject.userId, epoch: subject.epoch, madeAtMs };
}

function hashOf(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

/** A notification that tells a revocation itself; others name what is to be read again. */
function revocationIn(change: string): Revocation | null {
  if (!change.startsWith('{')) return null;
  const { tenant, kind, subject, before, expires } = JSON.parse(change);
  return { tenantId: tenant, kind, subject, before: BigInt(before), expiresAtMs: expires };
}
