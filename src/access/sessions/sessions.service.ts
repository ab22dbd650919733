import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import { isUuid, type NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import { hashToken, isTokenShaped, newToken } from '../people/one-time-token.ts';
import type { UserRow } from '../people/people.store.ts';
import type { Principal, TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import { type BrowserRequest, cookieOf, isCsrfToken, isSafeMethod, isSecure } from './session-cookies.ts';
import { principalOfSession } from './session-principal.ts';
import type { LiveSession, SessionRow, SessionsStore } from './sessions.store.ts';

export interface SessionsDependencies {
  readonly store: SessionsStore;
  readonly tenant: (id: string) => TenantFacts | undefined;
  /** What a role means in a tenant; the same object for as long as it means the same. */
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  /** What is asked of every caller: which tenant the request names, and whether it is suspended. */
  readonly admit: (principal: Principal, tenantHeader: string | undefined) => Principal;
  readonly countFailedAuthentication: () => void;
  readonly subscribe: (onChange: (change: string) => void, onGap: () => void) => void;
  readonly publicUrl: string | null;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
  readonly log: Log;
}

export type Sessions = ReturnType<typeof createSessions>;

export const idleMs = 3_600_000;
export const absoluteMs = 24 * 3_600_000;
/** A browser or two per device is plenty; the oldest give way. */
const mostPerUser = 20;
/** Sessions kept in memory; what is not is read again. */
const mostKnown = 20_000;
const maxWaitingLookUps = 50;
const seenIntervalMs = 30_000;
const sweepBatch = 1_000;

interface KnownSession {
  readonly row: LiveSession;
  readonly role: RoleFacts;
  readonly principal: Principal;
  lastSeenMs: number;
}

/**
 * Sessions of browsers (ACC-2): an opaque secret in a cookie, an hour idle at most and a day in all. Those in use are in
 * memory, like keys; a revocation is heard of within a second by every instance.
 */
export function createSessions(deps: SessionsDependencies) {
  const { store, clock, log, publicUrl } = deps;
  const known = new Map<string, KnownSession>();
  let seen = new Map<string, number>();
  // Counts what was heard, so that a row read before a revocation is not kept after it.
  let heard = 0;
  let waiting = 0;
  const stopping = new AbortController();
  let writer: Promise<void> = Promise.resolve();

  const forget = (matches: (row: LiveSession) => boolean) => {
    for (const [hash, { row }] of known) if (matches(row)) known.delete(hash);
  };
  const hear = (change: string) => {
    heard++;
    const [what, id] = change.split(':');
    // What is asked of sign-ins is set seldom, and concerns any number of them.
    forget((row) => what === 'policy' || (what === 'user' ? row.user_id === id : row.id === id));
  };
  deps.subscribe(hear, () => {
    heard++;
    known.clear();
  });

  const refused = (detail: string): AppError => {
    deps.countFailedAuthentication();
    return new AppError('unauthenticated', detail);
  };
  const ended = () => refused('This session has ended. Sign in again.');

  const lookUp = async (hash: string, now: Date): Promise<KnownSession | undefined> => {
    if (waiting >= maxWaitingLookUps) {
      throw new AppError('overloaded', 'Too many unknown sessions are being checked. Try again shortly.', {
        retryAfterSeconds: 1,
      });
    }
    waiting++;
    try {
      const heardBefore = heard;
      const seenAfter = new Date(now.getTime() - idleMs);
      const row = await store.liveByHash(Buffer.from(hash, 'hex'), now, seenAfter);
      const tenant = row && deps.tenant(row.tenant_id);
      const role = row && deps.role(row.tenant_id, row.role);
      if (!row || !tenant || !role) return undefined;
      const found = {
        row,
        role,
        principal: principalOfSession(row, tenant, role),
        lastSeenMs: row.last_seen_at.getTime(),
      };
      if (heard === heardBefore) {
        if (known.size >= mostKnown) known.delete(known.keys().next().value ?? '');
        known.set(hash, found);
      }
      return found;
    } finally {
      waiting--;
    }
  };

  /** Undefined when what is known of it may be out of date: seen elsewhere meanwhile, or its tenant or role has changed. */
  const fresh = (hash: string, nowMs: number): KnownSession | undefined => {
    const found = known.get(hash);
    if (!found) return undefined;
    const { row, role, principal, lastSeenMs } = found;
    const alive = row.expires_at.getTime() > nowMs && lastSeenMs + idleMs > nowMs;
    const same =
      deps.tenant(row.tenant_id) === principal.tenant && deps.role(row.tenant_id, row.role) === role;
    if (alive && same) return found;
    known.delete(hash);
    return undefined;
  };

  const tokenOf = (request: BrowserRequest) => cookieOf(request, 'session', isSecure(request, publicUrl));

  const begin = async (
    user: Pick<UserRow, 'id' | 'tenant_id'>,
    from: { userAgent: string | undefined; address: string; by: string; secondFactor: boolean },
  ): Promise<{ token: string; row: SessionRow }> => {
    const now = clock.now();
    const { token, hash } = newToken(deps.random);
    const row: SessionRow = {
      id: deps.newId(),
      tenant_id: user.tenant_id,
      user_id: user.id,
      token_hash: hash,
      signed_in_by: from.by,
      second_factor: from.secondFactor,
      user_agent: from.userAgent?.slice(0, 300) ?? null,
      address: from.address,
      created_at: now,
      last_seen_at: now,
      expires_at: new Date(now.getTime() + absoluteMs),
      revoked_at: null,
    };
    await store.insert(row, mostPerUser);
    return { token, row };
  };

  return {
    async start(): Promise<void> {
      writer = (async () => {
        while (!stopping.signal.aborted) {
          await clock.sleep(seenIntervalMs, stopping.signal).catch(() => {});
          const batch = seen;
          seen = new Map();
          await store
            .markSeen(batch)
            .then(() => store.removeOld(clock.now(), sweepBatch))
            .catch((error) => log.warn({ err: error }, 'when sessions were last seen was not recorded'));
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await writer;
    },

    /**
     * The caller whom a browser's cookie stands for. Synchronous when the session is known here.
     * @param beforeLookUp is asked before a session that is not known here is looked for; it may throw.
     * @returns undefined when no session cookie came.
     * @throws AppError `unauthenticated`; `forbidden` for an unsafe method without the session's CSRF token, and for
     *   another tenant's name; `tenant_suspended`.
     */
    authenticateSession(
      request: BrowserRequest,
      tenantHeader: string | undefined,
      beforeLookUp?: () => void | Promise<void>,
    ): Principal | Promise<Principal> | undefined {
      if (request.headers.cookie === undefined) return undefined;
      const token = tokenOf(request);
      if (token === undefined) return undefined;
      if (!isTokenShaped(token)) throw ended();
      const admitted = (session: KnownSession): Principal => {
        if (!isSafeMethod(request.method) && !isCsrfToken(request.headers['x-csrf-token'], token)) {
          throw new AppError(
            'forbidden',
            'A request with a session cookie that changes something needs the session\'s CSRF token in "X-CSRF-Token".',
          );
        }
        session.lastSeenMs = clock.now().getTime();
        seen.set(session.row.id, session.lastSeenMs);
        return deps.admit(session.principal, tenantHeader);
      };
      const now = clock.now();
      const hash = hashToken(token).toString('hex');
      const found = fresh(hash, now.getTime());
      if (found) return admitted(found);
      const look = async () => {
        const session = await lookUp(hash, now);
        if (!session) throw ended();
        return admitted(session);
      };
      const asked = beforeLookUp?.();
      return asked instanceof Promise ? asked.then(look) : look();
    },

    begin,

    /**
     * The id of the caller's session that a request came with; null when it came with a key, whatever cookie lies beside it
     * is another's, or the session has ended.
     */
    async currentId(request: BrowserRequest, userId: string): Promise<string | null> {
      const token = tokenOf(request);
      if (token === undefined || !isTokenShaped(token)) return null;
      const now = clock.now();
      const hash = hashToken(token);
      const found =
        fresh(hash.toString('hex'), now.getTime())?.row ??
        (await store.liveByHash(hash, now, new Date(now.getTime() - idleMs)));
      return found?.user_id === userId ? found.id : null;
    },

    /** Ends the session that a request came with, whosever it is: another takes its place. */
    async endCurrent(request: BrowserRequest): Promise<void> {
      const token = tokenOf(request);
      if (token === undefined || !isTokenShaped(token)) return;
      const id = await store.endByHash(hashToken(token), clock.now());
      if (id !== undefined) hear(`session:${id}`);
    },

    /**
     * Another secret for a session whose user gained or changed a credential.
     * @param shown whether the session has shown a second factor just now. @throws AppError `unauthenticated`.
     */
    async rotate(id: string, shown: boolean): Promise<string> {
      const { token, hash } = newToken(deps.random);
      if (!(await store.rotate(id, hash, shown))) throw ended();
      hear(`session:${id}`);
      return token;
    },

    list: (scope: DatabaseScope, userId: string): Promise<SessionRow[]> => {
      const now = clock.now();
      return store.ofUser(scope, userId, now, new Date(now.getTime() - idleMs));
    },

    /** Ends one session, here at once and elsewhere within a second. @throws AppError `not_found`. */
    async revoke(scope: DatabaseScope, userId: string, id: string): Promise<void> {
      const ended = isUuid(id) ? await store.revoke(scope, userId, { id }, clock.now()) : 0;
      if (ended === 0) throw notFound('session');
      hear(`session:${id}`);
    },

    /** Ends all of a user's sessions, but for one if it is named. @returns how many. */
    async revokeAll(scope: DatabaseScope, userId: string, allBut: string | null): Promise<number> {
      const count = await store.revoke(scope, userId, { allBut }, clock.now());
      hear(`user:${userId}`);
      return count;
    },

    /** What somebody did to a user holds here at once: role, groups, being there at all. */
    userChanged: (userId: string): void => hear(`user:${userId}`),
    /** Somebody changed what is asked of sign-ins. */
    policyChanged: (): void => hear('policy:'),
  };
}
