import { hash } from 'node:crypto';
import { createBoundedCache } from '../../platform/bounded-cache.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import { type AddressCheck, createIssuerFetch } from '../people/issuers/issuer-fetch.ts';
import type { Principal } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import { type AccessToken, type TokenParties, verifyAccessToken } from './access-token.ts';
import { skewSeconds } from './claim-times.ts';
import { createTokenEndings } from './end-tokens.ts';
import { createTokenGiving, type GivingSurroundings } from './give-tokens.ts';
import { createIssuedCallers } from './issuers/issued-callers.ts';
import { createTokenIssuers } from './issuers/issuers.service.ts';
import { createTokenIssuersStore } from './issuers/issuers.store.ts';
import { createKeySets } from './issuers/key-sets.ts';
import { createTrustedIssuers } from './issuers/trusted-issuers.ts';
import { type ReadJwt, readJwt } from './read-jwt.ts';
import { createRevocations, type RevocableToken, type Revocation } from './revocations.ts';
import { createSigningKeysStore } from './signing-keys.store.ts';
import { createSigningKeys, type Sealing } from './signing-keys.ts';
import { createTokensStore } from './tokens.store.ts';
import { principalOfUser } from './user-principal.ts';

/** What tokens need of tenants, roles, keys and people. */
export interface TokenSurroundings extends GivingSurroundings {
  /** As `roleOf`; undefined for a role that is not there. */
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  /** The caller that a key stands for now; undefined when it is not valid any more. */
  readonly principalOfKey: (keyId: string, nowMs: number) => Principal | undefined;
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

export type Tokens = ReturnType<typeof createTokens>;

/** Verified tokens in memory, some 2 KiB each. */
const maxKnownTokens = 10_000;
const hourMs = 3_600_000;
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

    ...createTokenGiving({ ...deps, store, keys, revocations, unauthenticated }, around),
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

/** A notification that tells a revocation itself; others name what is to be read again. */
function revocationIn(change: string): Revocation | null {
  if (!change.startsWith('{')) return null;
  const { tenant, kind, subject, before, expires } = JSON.parse(change);
  return { tenantId: tenant, kind, subject, before: BigInt(before), expiresAtMs: expires };
}
