import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import type { Random } from '../platform/random.ts';
import { type AccessStore, signInKeyMaker, type TenantRow } from './access.store.ts';
import { hashKey, isWellFormedKey } from './api-key.ts';
import { refuseBadRanges } from './keys/address-list.ts';
import { createKeys } from './keys/keys.service.ts';
import { createPasswordHasher } from './people/password-hash.ts';
import type { Principal, Region, TenantFacts, Tier } from './principal.ts';
import { createRoles } from './roles/roles.service.ts';
import { createAccessSnapshot } from './snapshot.ts';
import { changedTenant, refusePast, type TenantChange } from './tenant-change.ts';
import { looksLikeJwt } from './tokens/read-jwt.ts';

export interface AccessDependencies {
  readonly store: AccessStore;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Random;
  readonly log: Log;
  readonly countFailedAuthentication: () => void;
  readonly countCrossTenantAttempt: () => void;
  /** Judges a JWT. Absent: none is accepted. @throws AppError `unauthenticated`. */
  readonly authenticateToken?: (
    token: string,
    tenantHeader: string | undefined,
  ) => Principal | Promise<Principal>;
  /** Calls back for each committed change of tenants and keys, and after each gap in hearing of them. */
  readonly subscribe: (onChange: (change: string) => void, onGap: () => void) => void;
}

export type Access = ReturnType<typeof createAccess>;

/** A key's last use is written this often, in one statement for all keys. */
const lastUsedIntervalMs = 60_000;

export function createAccess(deps: AccessDependencies) {
  const { store, clock, log } = deps;
  const snapshot = createAccessSnapshot(store, log);
  const usedKeys = new Map<string, Date>();
  const inNamedTenant = new WeakMap<Principal, Map<string, Principal>>();
  const stopping = new AbortController();
  let writer: Promise<void> = Promise.resolve();

  deps.subscribe(
    (change) => void snapshot.apply(change),
    () => void snapshot.reload().catch((error) => log.warn({ err: error }, 'keys could not be read again')),
  );

  const unauthenticated = (detail: string): AppError => {
    deps.countFailedAuthentication();
    return new AppError('unauthenticated', detail);
  };

  const actingIn = (principal: Principal, tenant: TenantFacts): Principal => {
    const known = inNamedTenant.get(principal) ?? new Map<string, Principal>();
    inNamedTenant.set(principal, known);
    const made =
      known.get(tenant.id) ??
      Object.freeze({ ...principal, tenant, tenantId: tenant.id, actsInNamedTenant: true });
    known.set(tenant.id, made);
    return made;
  };

  const inTenantNamedBy = (principal: Principal, header: string): Principal => {
    const tenant = snapshot.tenant(header);
    if (principal.role === 'owner') {
      if (!tenant)
        throw new AppError(
          'not_found',
          `There is no tenant "${header}" (X-Tenant-Id takes an id or a slug).`,
        );
      return actingIn(principal, tenant);
    }
    if (tenant?.id === principal.tenantId) return principal;
    deps.countCrossTenantAttempt();
    throw new AppError('forbidden', 'This key belongs to another tenant than the one named by X-Tenant-Id.');
  };

  const admitted = (principal: Principal, tenantHeader: string | undefined, now: Date): Principal => {
    usedKeys.set(principal.keyId, now);
    const caller = tenantHeader === undefined ? principal : inTenantNamedBy(principal, tenantHeader);
    if (caller.tenant.status === 'suspended' && caller.role !== 'owner') {
      throw new AppError('tenant_suspended', `The tenant ${caller.tenant.slug} is suspended.`);
    }
    return caller;
  };

  const writeLastUsed = async (): Promise<void> => {
    const batch = new Map(usedKeys);
    usedKeys.clear();
    await store
      .markKeysUsed(batch)
      .catch((error) => log.warn({ err: error }, 'last use of keys was not recorded'));
  };

  const hasher = createPasswordHasher();

  return {
    /** What is asked of every caller, however they showed who they are. @throws AppError as `authenticate` does. */
    admit: (principal: Principal, tenantHeader: string | undefined): Principal =>
      admitted(principal, tenantHeader, clock.now()),

    /** What a role means in a tenant; undefined when there is none of that name. */
    role: snapshot.roles.find,
    roles: createRoles({
      store: store.roles,
      clock,
      newId: deps.newId,
      changed: (id) => snapshot.apply(`custom_roles:${id}`),
    }),

    async start(): Promise<void> {
      await snapshot.reload();
      writer = (async () => {
        while (!stopping.signal.aborted) {
          await clock.sleep(lastUsedIntervalMs, stopping.signal).catch(() => {});
          await writeLastUsed();
          await store.removeExpiredKeysOf(signInKeyMaker).catch((error) => {
            log.warn({ err: error }, 'expired sign-in tokens were not removed');
          });
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await writer;
    },

    /**
     * @param token the key as presented; undefined when there was none.
     * @param tenantHeader the value of `X-Tenant-Id`, if any.
     * @param beforeLookUp is asked before a key that is not known here is looked for in the database; it may throw.
     * @returns the caller; synchronously when the key is known here, so that the hot path awaits nothing.
     * @throws AppError `unauthenticated`, `forbidden` (another tenant's id), `not_found` (an owner named no tenant),
     *   `tenant_suspended`.
     */
    authenticate(
      token: string | undefined,
      tenantHeader: string | undefined,
      beforeLookUp?: () => void | Promise<void>,
    ): Principal | Promise<Principal> {
      if (!token) {
        throw unauthenticated('Send an API key: "Authorization: Bearer gh_…" or "X-Api-Key: gh_…".');
      }
      const now = clock.now();
      if (looksLikeJwt(token) && deps.authenticateToken) {
        const caller = deps.authenticateToken(token, tenantHeader);
        return caller instanceof Promise
          ? caller.then((found) => admitted(found, tenantHeader, now))
          : admitted(caller, tenantHeader, now);
      }
      const hash = hashKey(token);
      const known = snapshot.principalOf(hash, now.getTime());
      if (known) return admitted(known, tenantHeader, now);
      if (!isWellFormedKey(token)) throw unauthenticated('This API key is not valid.');
      const lookUp = async () => {
        const principal = await snapshot.lookUp(hash, now.getTime());
        if (!principal) throw unauthenticated('This API key is not valid, has expired or was revoked.');
        return admitted(principal, tenantHeader, now);
      };
      const asked = beforeLookUp?.();
      return asked instanceof Promise ? asked.then(lookUp) : lookUp();
    },

    /** The caller that a key stands for, by its id; undefined when it is not valid, or not known here. */
    principalOfKey: snapshot.principalOfKey,
    /** What a role means in a tenant; one that is not there holds nothing. */
    roleOf: snapshot.roles.roleOf,

    /** The tenant by id or slug, as this instance knows it. */
    tenant: (idOrSlug: string): TenantFacts | undefined => snapshot.tenant(idOrSlug),

    async createTenant(given: {
      name: string;
      slug: string;
      tier: Tier;
      region: Region;
    }): Promise<TenantRow> {
      const now = clock.now();
      const row = {
        id: deps.newId(),
        ...given,
        status: 'active' as const,
        time_zone: 'UTC',
        created_at: now,
        updated_at: now,
      };
      await store.insertTenant(row);
      await snapshot.apply(`tenants:${row.id}`);
      return { ...row, limits: {}, limits_expire_at: null, ip_allow_list: [] };
    },

    /**
     * A tenant as its own people and owners may see it.
     * @throws AppError `not_found`, also for a tenant that the caller does not belong to.
     */
    async tenantFor(principal: Principal, idOrSlug: string): Promise<TenantRow> {
      const known = snapshot.tenant(idOrSlug);
      const visible = known && (principal.role === 'owner' || known.id === principal.tenantId);
      const row = visible ? await store.tenantById(known.id) : undefined;
      if (!row) throw notFound('tenant');
      return row;
    },

    /** Takes effect here at once and elsewhere within a second. @throws AppError `not_found`, `invalid`. */
    async changeTenant(idOrSlug: string, change: TenantChange): Promise<TenantRow> {
      const now = clock.now();
      refusePast(change.limitsExpireAt ?? null, 'limits_expire_at', now);
      refuseBadRanges(change.ipAllowList ?? [], 'ip_allow_list');
      const known = snapshot.tenant(idOrSlug);
      const row =
        known && (await store.changeTenant(known.id, (before) => changedTenant(before, change, now)));
      if (!row) throw notFound('tenant');
      await snapshot.apply(`tenants:${row.id}`);
      return row;
    },

    tenants: (page: Page<PageCursor>) => store.tenants(page.limit, page.after),

    ...createKeys({ store, snapshot, clock, random: deps.random }),

    /** The tenant's first owner, with a password to sign in with; repeated, the password is the last one given. */
    async createOwner(tenant: TenantFacts, email: string, password: string): Promise<void> {
      const now = clock.now();
      await store.upsertUser({
        id: deps.newId(),
        tenant_id: tenant.id,
        email,
        role: 'owner',
        groups: [],
        password_hash: await hasher.hash(password),
        failed_sign_ins: 0,
        locked_until: null,
        created_at: now,
        updated_at: now,
      });
    },
  };
}
