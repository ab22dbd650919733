import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { ProviderKind, ProviderSettings, RouteCache, Strategy, TierPlan } from './resolution.ts';

export interface SealedKey {
  readonly sealed: string;
  readonly hint: string | null;
  readonly weight: number;
  /** Where the key is kept, when what is sealed is a reference to it. */
  readonly reference?: string;
}

export interface ProviderRow {
  readonly id: string;
  readonly tenant_id: string | null;
  readonly name: string;
  readonly kind: ProviderKind;
  readonly base_url: string;
  /** The first of the keys; for servers of the version before, which knew but one. */
  readonly sealed_key: string | null;
  readonly key_hint: string | null;
  /** Null in rows of the version before. */
  readonly sealed_keys: readonly SealedKey[] | null;
  readonly settings: ProviderSettings;
  readonly local_addresses_allowed: boolean;
  /** Counts changes, from 1. */
  readonly revision: number;
  readonly created_by: string;
  readonly created_at: Date;
  /** Null while it was never changed. */
  readonly updated_at: Date | null;
}

/** What a change of a provider may touch; keys that are absent stay. */
export type ProviderChange = Pick<
  ProviderRow,
  'kind' | 'base_url' | 'settings' | 'local_addresses_allowed' | 'updated_at'
> &
  Partial<Pick<ProviderRow, 'sealed_key' | 'key_hint' | 'sealed_keys'>>;

export interface RouteRow {
  readonly id: string;
  readonly tenant_id: string | null;
  readonly name: string;
  readonly strategy: Strategy;
  readonly cache: RouteCache;
  readonly tiers: readonly TierPlan[];
  readonly created_by: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

type Tables = { providers: ProviderRow; model_routes: RouteRow };

/** Whose rows are written: a tenant's, under row-level security, or the platform's own. */
export type SettingsScope = DatabaseScope | 'platform';

export type RoutingStore = ReturnType<typeof createRoutingStore>;

/** SQL of providers and routes. */
export function createRoutingStore(database: Database) {
  const platform = database.platform.withTables<Tables>();
  type Writer = typeof platform;

  const write = <T>(
    scope: SettingsScope,
    work: (db: Writer, tenantId: string | null) => Promise<T>,
  ): Promise<T> =>
    scope === 'platform'
      ? work(platform, null)
      : database.inTenant(scope, (tx) => work(tx.withTables<Tables>(), scope.tenantId));

  return {
    allProviders: (): Promise<ProviderRow[]> => platform.selectFrom('providers').selectAll().execute(),
    allRoutes: (): Promise<RouteRow[]> => platform.selectFrom('model_routes').selectAll().execute(),

    /** @throws AppError `conflict` when the scope has a provider of that name. */
    async insertProvider(scope: SettingsScope, row: ProviderRow): Promise<void> {
      const values = { ...row, sealed_keys: jsonOf(row.sealed_keys) };
      try {
        await write(scope, (db) => db.insertInto('providers').values(values).execute());
      } catch (error) {
        if ((error as { code?: string }).code !== uniqueViolation) throw error;
        throw new AppError(
          'conflict',
          `A provider named "${row.name}" exists already. Choose another name, or change that one: PUT /api/v1/providers/${row.name}`,
          { cause: error },
        );
      }
    },

    /**
     * Changes a provider that still is as the caller knows it.
     * @param revision of the provider that the change was made for.
     * @returns whether the scope had such a provider at that revision.
     */
    updateProvider: (
      scope: SettingsScope,
      id: string,
      revision: number,
      change: ProviderChange,
    ): Promise<boolean> =>
      write(scope, async (db, tenantId) => {
        const keys = change.sealed_keys === undefined ? {} : { sealed_keys: jsonOf(change.sealed_keys) };
        const { numUpdatedRows } = await db
          .updateTable('providers')
          .set({ ...change, ...keys, revision: revision + 1 })
          .where('id', '=', id)
          .where('revision', '=', revision)
          .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      }),

    /** @returns whether the scope had such a provider. */
    deleteProvider: (scope: SettingsScope, id: string): Promise<boolean> =>
      write(scope, async (db, tenantId) => {
        const { numDeletedRows } = await db
          .deleteFrom('providers')
          .where('id', '=', id)
          .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
          .executeTakeFirst();
        return numDeletedRows > 0n;
      }),

    /** Makes the route or replaces what it is. */
    async putRoute(scope: SettingsScope, row: RouteRow): Promise<void> {
      await write(scope, (db) =>
        sql`insert into model_routes (id, tenant_id, name, strategy, cache, tiers, created_by, created_at, updated_at)
          values (${row.id}, ${row.tenant_id}, ${row.name}, ${row.strategy}, ${JSON.stringify(row.cache)}::jsonb,
            ${JSON.stringify(row.tiers)}::jsonb, ${row.created_by}, ${row.created_at}, ${row.updated_at})
          on conflict (tenant_id, name) do update set strategy = excluded.strategy, cache = excluded.cache,
            tiers = excluded.tiers, updated_at = excluded.updated_at`.execute(db),
      );
    },

    /** @returns whether the scope had such a route. */
    deleteRoute: (scope: SettingsScope, name: string): Promise<boolean> =>
      write(scope, async (db, tenantId) => {
        const { numDeletedRows } = await db
          .deleteFrom('model_routes')
          .where('name', '=', name)
          .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
          .executeTakeFirst();
        return numDeletedRows > 0n;
      }),
  };
}

const uniqueViolation = '23505';

/** The driver would make a PostgreSQL array of a list; this column is jsonb. */
function jsonOf(keys: ProviderRow['sealed_keys']) {
  return keys === null ? null : sql<readonly SealedKey[]>`${JSON.stringify(keys)}::jsonb`;
}
