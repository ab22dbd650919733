import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import type { Random } from '../../platform/random.ts';
import type { AccessStore, KeyRow } from '../access.store.ts';
import { hashKey, type NewKey, newApiKey } from '../api-key.ts';
import { type Attributes, refuseAttributesBeyond } from '../attributes/attributes.ts';
import { isScope } from '../permissions.ts';
import { platformPrincipal } from '../platform-principal.ts';
import type { Principal, TenantFacts } from '../principal.ts';
import { refuseGrantBeyond } from '../roles/delegation.ts';
import { unknownRole } from '../roles/roles.store.ts';
import type { AccessSnapshot } from '../snapshot.ts';
import { refusePast } from '../tenant-change.ts';
import { changedKey, type KeyChange, refuseBadLists, refuseUnrotatable, rotatedKey } from './key-change.ts';
import { refuseRestricted } from './restrictions.ts';

export interface KeysDependencies {
  readonly store: AccessStore;
  /** Takes each change up here at once, before the notification comes round. */
  readonly snapshot: Pick<AccessSnapshot, 'roles' | 'apply'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
}

/** What a key is at first, whoever made it. */
const unused = {
  revoked_at: null,
  last_used_at: null,
  rotated_at: null,
  previous_key_hash: null,
  previous_expires_at: null,
} as const;

/** API keys as those handle them who make keys for others. What a key stands for, the snapshot says. */
export function createKeys({ store, snapshot, clock, random }: KeysDependencies) {
  const addKey = async (principal: Principal, key: NewKey, createdBy: string) => {
    const fresh = newApiKey(random);
    const row: KeyRow = {
      ...unused,
      id: fresh.id,
      tenant_id: principal.tenantId,
      name: key.name,
      key_hash: Buffer.from(fresh.hash, 'hex'),
      role: key.role,
      groups: [...key.groups],
      attributes: key.attributes ?? {},
      scopes: [...key.scopes],
      user_id: key.userId,
      internal: key.internal ?? false,
      created_by: createdBy,
      created_at: clock.now(),
      expires_at: key.expiresAt,
      ip_allow_list: [...(key.ipAllowList ?? [])],
      model_allow_list: [...(key.modelAllowList ?? [])],
    };
    await store.insertKey(principal, row);
    await snapshot.apply(`api_keys:${row.id}`);
    return { row, key: fresh.key };
  };

  /** Whoever may hand a key's rights to somebody could have made it. */
  const refuseKeyBeyond = (principal: Principal, held: Attributes | null, row: KeyRow): void => {
    refuseGrantBeyond(principal, { ...row, role: snapshot.roles.roleOf(row.tenant_id, row.role) });
    refuseAttributesBeyond(held, row.attributes);
    if (row.internal && principal.role !== 'owner') {
      throw new AppError('forbidden', 'Only an owner of the platform changes internal keys.');
    }
    refuseRestricted(principal);
  };

  return {
    /**
     * Makes a key in the principal's tenant. The whole key is in the result and nowhere else.
     * @throws AppError `forbidden` when the key would hold more than its maker, `invalid` on unknown scopes or an
     *   expiry that has passed.
     */
    async createKey(principal: Principal, given: NewKey): Promise<{ row: KeyRow; key: string }> {
      const unknownScope = given.scopes.find((scope) => !isScope(scope));
      if (unknownScope !== undefined) {
        throw new AppError(
          'invalid',
          `"${unknownScope}" is not a scope; scopes are permissions such as models:call or documents:*.`,
          {
            errors: [{ path: 'scopes', message: `unknown scope ${unknownScope}` }],
          },
        );
      }
      refusePast(given.expiresAt, 'expires_at', clock.now());
      if (given.internal && principal.role !== 'owner') {
        throw new AppError('forbidden', 'Only an owner of the platform makes internal keys.', {
          errors: [{ path: 'internal', message: 'needs the role owner' }],
        });
      }
      refuseBadLists(given);
      const role = snapshot.roles.find(principal.tenantId, given.role);
      if (!role) throw unknownRole(given.role);
      refuseGrantBeyond(principal, { ...given, role });
      refuseAttributesBeyond(await store.boundingAttributes(principal), given.attributes ?? {});
      refuseRestricted(principal);
      return addKey(principal, given, `key:${principal.keyId}`);
    },

    /** Makes a key for the platform itself (first boot, command line), where there is no caller to bound it. */
    createKeyAsPlatform: (tenant: TenantFacts, given: NewKey) =>
      addKey(platformPrincipal(tenant), given, 'platform'),

    keys: (principal: Principal, page: Page<PageCursor>) => store.keys(principal, page.limit, page.after),

    async keyById(principal: Principal, id: string): Promise<KeyRow> {
      const row = await store.keyById(principal, id);
      if (!row) throw notFound('key');
      return row;
    },

    /**
     * Changes a key's name, end, attributes and allow-lists; attributes everywhere at once, the others here at once, elsewhere within a second.
     * @throws AppError `not_found`, `invalid` that names the field, `forbidden` for a key with more rights than the caller.
     */
    async changeKey(principal: Principal, id: string, change: KeyChange): Promise<KeyRow> {
      refuseBadLists(change);
      refusePast(change.expiresAt ?? null, 'expires_at', clock.now());
      const held = await store.boundingAttributes(principal);
      const row = await store.changeKey(principal, id, (before) => {
        refuseKeyBeyond(principal, held, before);
        refuseAttributesBeyond(held, change.attributes ?? {});
        return changedKey(before, change);
      });
      if (!row) throw notFound('key');
      await snapshot.apply(`api_keys:${id}`);
      return row;
    },

    /**
     * Gives a key another secret. Its id, rights and restrictions stay, and so do its limits, budgets and place in reports.
     * @param graceSeconds how long the secret before works beside the new one; 0: no longer.
     * @returns the whole key, which is shown nowhere else.
     * @throws AppError `not_found`, `conflict` for a key of the configuration, `forbidden` as `changeKey`.
     */
    async rotateKey(
      principal: Principal,
      id: string,
      graceSeconds: number,
    ): Promise<{ row: KeyRow; key: string }> {
      const fresh = newApiKey(random, id);
      const held = await store.boundingAttributes(principal);
      const row = await store.changeKey(principal, id, (before) => {
        refuseUnrotatable(before);
        refuseKeyBeyond(principal, held, before);
        return rotatedKey(before, fresh.hash, graceSeconds, clock.now());
      });
      if (!row) throw notFound('key');
      await snapshot.apply(`api_keys:${id}`);
      return { row, key: fresh.key };
    },

    /** Revokes at once here and within a second everywhere. @throws AppError `not_found`. */
    async revokeKey(principal: Principal, id: string): Promise<void> {
      if (!(await store.revokeKey(principal, id, clock.now()))) throw notFound('key');
      await snapshot.apply(`api_keys:${id}`);
    },

    /** Accepts the configured key as the owner's, in place of one accepted under an earlier setting. */
    async acceptAdminKey(adminKey: string, home: TenantFacts): Promise<void> {
      await store.upsertKey({
        ...unused,
        id: 'admin-key',
        tenant_id: home.id,
        name: 'GATEHOUSE_ADMIN_KEY',
        key_hash: Buffer.from(hashKey(adminKey), 'hex'),
        role: 'owner',
        groups: [],
        attributes: {},
        scopes: [],
        user_id: null,
        internal: false,
        created_by: 'platform',
        created_at: clock.now(),
        expires_at: null,
        ip_allow_list: [],
        model_allow_list: [],
      });
      await snapshot.apply('api_keys:admin-key');
    },
  };
}
