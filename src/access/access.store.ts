import { type ColumnType, type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { LimitFigures } from '../platform/limits-settings.ts';
import { type Attributes, boundingAttributes } from './attributes/attributes.ts';
import { addressList } from './keys/address-list.ts';
import type { Principal, Region, TenantFacts, Tier } from './principal.ts';
import { createRolesStore, refuseUnknownRole } from './roles/roles.store.ts';

type TenantTable = {
  id: string;
  slug: string;
  name: string;
  tier: Tier;
  region: Region;
  status: 'active' | 'suspended';
  /** IANA name. */
  time_zone: string;
  limits: ColumnType<Partial<LimitFigures>, string | undefined, string>;
  limits_expire_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  ip_allow_list: ColumnType<string[], string[] | undefined, string[]>;
  created_at: Date;
  updated_at: Date;
};

type KeyTable = {
  id: string;
  tenant_id: string;
  name: string;
  key_hash: Buffer;
  role: string;
  groups: string[];
  attributes: Attributes;
  scopes: string[];
  user_id: string | null;
  internal: boolean;
  created_by: string;
  created_at: Date;
  expires_at: Date | null;
  revoked_at: Date | null;
  last_used_at: Date | null;
  ip_allow_list: string[];
  model_allow_list: string[];
  rotated_at: Date | null;
  /** Of the secret before, while it still works. */
  previous_key_hash: Buffer | null;
  previous_expires_at: Date | null;
};

type UserTable = {
  id: string;
  tenant_id: string;
  email: string;
  role: string;
  groups: string[];
  password_hash: string | null;
  failed_sign_ins: number;
  locked_until: Date | null;
  created_at: Date;
  updated_at: Date;
};

type AccessTables = {
  tenants: TenantTable;
  api_keys: KeyTable;
  users: UserTable;
};

export type TenantRow = Selectable<TenantTable>;
export type KeyRow = Selectable<KeyTable>;
export type UserRow = Selectable<UserTable>;

/** What `created_by` says of the short-lived keys that stand for a signed-in user. */
export const signInKeyMaker = 'sign-in';

export type AccessStore = ReturnType<typeof createAccessStore>;

/** SQL of tenants, users and keys. What one tenant asks for goes through `inTenant`; the rest is the platform's. */
export function createAccessStore(database: Database) {
  const platform = database.platform.withTables<AccessTables>();
  const keys = platform.selectFrom('api_keys').selectAll();
  // Keys that can never again be valid are not kept in memory.
  const live = keys
    .where('revoked_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]));

  return {
    roles: createRolesStore(database),
    boundingAttributes: (principal: Principal) => boundingAttributes(database, principal),

    allTenants: () => platform.selectFrom('tenants').selectAll().execute(),
    allLiveKeys: () => live.execute(),
    tenantById: (id: string) =>
      platform.selectFrom('tenants').selectAll().where('id', '=', id).executeTakeFirst(),
    liveKeyById: (id: string) => live.where('id', '=', id).executeTakeFirst(),
    liveKeyByHash: (hash: Buffer) =>
      live
        .where((eb) =>
          eb.or([
            eb('key_hash', '=', hash),
            eb.and([eb('previous_key_hash', '=', hash), eb('previous_expires_at', '>', sql<Date>`now()`)]),
          ]),
        )
        .executeTakeFirst(),

    async insertTenant(row: Insertable<TenantTable>): Promise<void> {
      await platform
        .insertInto('tenants')
        .values(row)
        .execute()
        .catch(refuseDuplicate(`A tenant with the slug "${row.slug}" exists already. Choose another slug.`));
    },

    /**
     * Changes a tenant as `change` decides from what is there, which nobody else changes meanwhile.
     * @returns the tenant afterwards; undefined when there is none.
     */
    changeTenant: (
      id: string,
      change: (row: TenantRow) => Updateable<TenantTable>,
    ): Promise<TenantRow | undefined> =>
      platform.transaction().execute(async (tx) => {
        const row = await tx
          .selectFrom('tenants')
          .selectAll()
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst();
        if (!row) return undefined;
        return tx
          .updateTable('tenants')
          .set(change(row))
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow();
      }),

    /** A page of tenants, newest first, after the given cursor. */
    tenants: (limit: number, after: { createdAt: Date; id: string } | null) => {
      let query = platform.selectFrom('tenants').selectAll();
      if (after) {
        query = query.where((eb) =>
          eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.createdAt, after.id)),
        );
      }
      return query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
    },

    insertKey: (scope: DatabaseScope, row: KeyRow): Promise<void> =>
      database
        .inTenant(scope, async (tx) => {
          await tx.withTables<AccessTables>().insertInto('api_keys').values(row).execute();
        })
        .catch(refuseUnknownRole(row.role)),

    keys: (scope: DatabaseScope, limit: number, after: { createdAt: Date; id: string } | null) =>
      database.inTenant(scope, (tx) => {
        // Sign-ins come and go by themselves; the list is of keys that somebody made.
        let query = tx
          .withTables<AccessTables>()
          .selectFrom('api_keys')
          .selectAll()
          .where('created_by', '<>', signInKeyMaker);
        if (after) {
          query = query.where((eb) =>
            eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.createdAt, after.id)),
          );
        }
        return query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
      }),

    keyById: (scope: DatabaseScope, id: string) =>
      database.inTenant(scope, (tx) =>
        tx
          .withTables<AccessTables>()
          .selectFrom('api_keys')
          .selectAll()
          .where('id', '=', id)
          .executeTakeFirst(),
      ),

    /**
     * Changes a key as `change` decides from what is there, which nobody else changes meanwhile.
     * @returns the key afterwards; undefined when there is none that was not revoked.
     */
    changeKey: (
      scope: DatabaseScope,
      id: string,
      change: (row: KeyRow) => Updateable<KeyTable>,
    ): Promise<KeyRow | undefined> =>
      database.inTenant(scope, async (untyped) => {
        const tx = untyped.withTables<AccessTables>();
        const row = await tx
          .selectFrom('api_keys')
          .selectAll()
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .forUpdate()
          .executeTakeFirst();
        if (!row) return undefined;
        return tx
          .updateTable('api_keys')
          .set(change(row))
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow();
      }),

    /** @returns whether there was such a key that was not revoked already. */
    revokeKey: (scope: DatabaseScope, id: string, at: Date): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const result = await tx
          .withTables<AccessTables>()
          .updateTable('api_keys')
          .set({ revoked_at: at })
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .executeTakeFirst();
        return result.numUpdatedRows > 0n;
      }),

    async markKeysUsed(used: ReadonlyMap<string, Date>): Promise<void> {
      if (used.size === 0) return;
      const ids = [...used.keys()];
      const times = [...used.values()].map((time) => time.toISOString());
      await sql`update api_keys set last_used_at = used.at
        from unnest(${ids}::text[], ${times}::timestamptz[]) as used (id, at)
        where api_keys.id = used.id`.execute(platform);
    },

    async removeExpiredKeysOf(createdBy: string): Promise<void> {
      await sql`delete from api_keys
        where created_by = ${createdBy} and expires_at < now() - interval '1 day'`.execute(platform);
    },

    /** Puts the configured owner's key in place of whatever stood under that id. */
    async upsertKey(row: KeyRow): Promise<void> {
      await platform
        .insertInto('api_keys')
        .values(row)
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet({ key_hash: row.key_hash, revoked_at: null, expires_at: null }),
        )
        .execute()
        .catch(refuseDuplicate('GATEHOUSE_ADMIN_KEY is in use as another key. Choose another value.'));
    },

    /** A user of that address who is there already gets the new password and keeps everything else. */
    async upsertUser(row: UserRow): Promise<void> {
      await platform
        .insertInto('users')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .expression(sql`lower(email)`)
            .doUpdateSet({ password_hash: row.password_hash, updated_at: row.updated_at }),
        )
        .execute();
    },
    userByEmail: (email: string) =>
      platform
        .selectFrom('users')
        .selectAll()
        .where(sql<boolean>`lower(email) = lower(${email})`)
        .executeTakeFirst(),
    /** Counts one wrong password; from `attempts` on, no password is looked at until `lockedUntil`. */
    async countFailedSignIn(id: string, attempts: number, lockedUntil: Date): Promise<void> {
      await sql`update users set failed_sign_ins = failed_sign_ins + 1,
          locked_until = case when failed_sign_ins + 1 >= ${attempts} then ${lockedUntil} else locked_until end
        where id = ${id}`.execute(platform);
    },
    async clearFailedSignIns(id: string): Promise<void> {
      await platform
        .updateTable('users')
        .set({ failed_sign_ins: 0, locked_until: null })
        .where('id', '=', id)
        .execute();
    },
  };
}

export function tenantFacts(row: TenantRow): TenantFacts {
  const { id, slug, name, tier, region, status, time_zone } = row;
  const addresses = addressList(row.ip_allow_list);
  const facts = {
    ...{ id, slug, name, tier, region, status, timeZone: time_zone },
    ...(addresses ? { addresses } : {}),
  };
  if (Object.keys(row.limits).length === 0) return Object.freeze(facts);
  const expireAtMs = row.limits_expire_at?.getTime() ?? null;
  return Object.freeze({ ...facts, limits: Object.freeze({ figures: row.limits, expireAtMs }) });
}

const uniqueViolation = '23505';

function refuseDuplicate(detail: string) {
  return (error: unknown): never => {
    if ((error as { code?: string }).code === uniqueViolation) {
      throw new AppError('conflict', detail, { cause: error });
    }
    throw error;
  };
}
