import { AppError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { AccessStore, KeyRow, TenantRow } from './access.store.ts';
import { tenantFacts } from './access.store.ts';
import { addressList } from './keys/address-list.ts';
import { modelList } from './keys/model-list.ts';
import { within } from './permissions.ts';
import { type Principal, readerTokensOf, type TenantFacts } from './principal.ts';
import { createRoleBook, type RoleBook } from './roles/role-book.ts';
import type { RoleFacts } from './roles/role-facts.ts';

interface KnownKey {
  readonly hash: string;
  readonly expiresAtMs: number;
  /** Of the secret before the last rotation, while it may still work. */
  readonly previous: { readonly hash: string; readonly expiresAtMs: number } | null;
  readonly row: KeyRow;
  readonly principal: Principal;
}

/**
 * Tenants, their roles and keys in memory, so that verifying a warm key is one hash and one map look-up (ACC-4). Changes arrive by
 * notification, one row at a time; after a gap everything is read again.
 */
export interface AccessSnapshot {
  /** The caller that a key with this SHA-256 (hex) stands for; undefined when it is not known here. */
  principalOf(hash: string, nowMs: number): Principal | undefined;
  /** The caller that the key of this id stands for; undefined when it is not valid, or not known here. */
  principalOfKey(id: string, nowMs: number): Principal | undefined;
  /** @param idOrSlug as an owner writes it in `X-Tenant-Id`. */
  tenant(idOrSlug: string): TenantFacts | undefined;
  /** What roles mean. */
  readonly roles: Pick<RoleBook, 'find' | 'roleOf'>;
  reload(): Promise<void>;
  /** @param change `api_keys:<id>`, `custom_roles:<id>` or `tenants:<id>`, as the trigger says it. */
  apply(change: string): Promise<void>;
  /**
   * Looks for a key made on another instance an instant ago. Takes its turn with the changes, so that a key revoked
   * meanwhile cannot be put back by what was read before.
   * @throws AppError `overloaded` when more than 50 such look-ups wait: well-formed keys that do not exist are cheap
   *   to make up, and must not queue without bound in front of real changes.
   */
  lookUp(hash: string, nowMs: number): Promise<Principal | undefined>;
}

const maxWaitingLookUps = 50;

export function createAccessSnapshot(store: AccessStore, log: Log): AccessSnapshot {
  let tenantsById = new Map<string, TenantFacts>();
  let tenantsBySlug = new Map<string, TenantFacts>();
  let keysByHash = new Map<string, KnownKey>();
  let keysById = new Map<string, KnownKey>();
  const roles = createRoleBook();
  // A reload that was overtaken by a newer change must not put the old state back, so they run one after another.
  let last: Promise<void> = Promise.resolve();
  let waitingLookUps = 0;
  const inOrder = (work: () => Promise<void>): Promise<void> => {
    last = last.then(work, work);
    return last;
  };

  const setTenant = (row: TenantRow) => {
    const facts = tenantFacts(row);
    const before = tenantsById.get(facts.id);
    if (before) tenantsBySlug.delete(before.slug);
    tenantsById.set(facts.id, facts);
    tenantsBySlug.set(facts.slug, facts);
  };
  const forgetKey = (id: string) => {
    const known = keysById.get(id);
    if (!known) return;
    keysById.delete(id);
    keysByHash.delete(known.hash);
    if (known.previous) keysByHash.delete(known.previous.hash);
  };
  const setKey = (row: KeyRow): void => {
    forgetKey(row.id);
    const tenant = tenantsById.get(row.tenant_id);
    if (!tenant) return;
    const known = {
      hash: row.key_hash.toString('hex'),
      expiresAtMs: row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY,
      previous: previousSecret(row),
      row,
      principal: principalOfKey(row, tenant, roles.roleOf(row.tenant_id, row.role)),
    };
    keysById.set(row.id, known);
    keysByHash.set(known.hash, known);
    if (known.previous) keysByHash.set(known.previous.hash, known);
  };

  const principalOf = (hash: string, nowMs: number): Principal | undefined => {
    const known = keysByHash.get(hash);
    if (!known || known.expiresAtMs <= nowMs) return undefined;
    const { previous, principal } = known;
    return hash === known.hash || (previous !== null && previous.expiresAtMs > nowMs) ? principal : undefined;
  };

  const principalById = (id: string, nowMs: number): Principal | undefined => {
    const known = keysById.get(id);
    return known && known.expiresAtMs > nowMs ? known.principal : undefined;
  };

  const reload = async () => {
    const [tenants, keys, rolesOfAll] = await Promise.all([
      store.allTenants(),
      store.allLiveKeys(),
      store.roles.all(),
    ]);
    roles.replace(rolesOfAll);
    tenantsById = new Map();
    tenantsBySlug = new Map();
    keysByHash = new Map();
    keysById = new Map();
    for (const row of tenants) setTenant(row);
    for (const row of keys) setKey(row);
  };

  /** Keys hold what their role means, so those of a role that changed are made again. */
  const applyRole = async (id: string) => {
    const row = await store.roles.oneOfAll(id);
    const gone = row ? undefined : roles.forget(id);
    if (row) roles.set(row);
    const changed = row ? { tenantId: row.tenant_id, name: row.name } : gone;
    if (!changed) return;
    for (const { row: key } of [...keysById.values()]) {
      if (key.tenant_id === changed.tenantId && key.role === changed.name) setKey(key);
    }
  };

  const apply = async (change: string) => {
    const [table, id] = change.split(':');
    if (!id) return;
    if (table === 'custom_roles') return applyRole(id);
    if (table === 'api_keys') {
      const row = await store.liveKeyById(id);
      if (row) setKey(row);
      else forgetKey(id);
      return;
    }
    // A tenant's keys hold its facts, so all of them are made again; tenants change seldom.
    await reload();
  };

  return {
    principalOf,
    principalOfKey: principalById,
    tenant: (idOrSlug) => tenantsById.get(idOrSlug.toLowerCase()) ?? tenantsBySlug.get(idOrSlug),
    roles,
    reload: () => inOrder(reload),
    apply: (change) =>
      inOrder(() =>
        apply(change).catch((error) => {
          log.warn(
            { err: error, change },
            'an access change could not be read; it is read again after the next gap',
          );
        }),
      ),
    async lookUp(hash, nowMs) {
      if (waitingLookUps >= maxWaitingLookUps) {
        throw new AppError('overloaded', 'Too many unknown keys are being checked. Try again shortly.', {
          retryAfterSeconds: 1,
        });
      }
      waitingLookUps++;
      try {
        await inOrder(async () => {
          const row = await store.liveKeyByHash(Buffer.from(hash, 'hex'));
          if (row) setKey(row);
        });
        return principalOf(hash, nowMs);
      } finally {
        waitingLookUps--;
      }
    },
  };
}

function previousSecret({ previous_key_hash: hash, previous_expires_at: until }: KeyRow) {
  return hash && until ? { hash: hash.toString('hex'), expiresAtMs: until.getTime() } : null;
}

function principalOfKey(row: KeyRow, tenant: TenantFacts, role: RoleFacts): Principal {
  const caller = { role: role.name, groups: row.groups, userId: row.user_id, keyId: row.id };
  const permissions = new Set(within(role.permissions, row.scopes));
  const addresses = addressList(row.ip_allow_list);
  const models = modelList(row.model_allow_list);
  return Object.freeze({
    tenant,
    tenantId: tenant.id,
    keyId: row.id,
    userId: row.user_id,
    role: role.name,
    groups: Object.freeze([...row.groups]),
    permissions,
    readerTokens: readerTokensOf({ ...caller, permissions }),
    actsInNamedTenant: false,
    internal: row.internal,
    ...(addresses ? { addresses } : {}),
    ...(models ? { models } : {}),
  });
}
