import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { TierPlan } from './resolution.ts';

export interface ProviderRow {
  readonly id: string;
  readonly tenant_id: string | null;
  readonly name: string;
  readonly kind: 'openai';
  readonly base_url: string;
  readonly sealed_key: string | null;
  readonly key_hint: string | null;
  readonly local_addresses_allowed: boolean;
  readonly created_by: string;
  readonly created_at: Date;
}

export interface RouteRow {
  readonly id: string;
  readonly tenant_id: string | null;
  readonly name: string;
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
      try {
        await write(scope, (db) => db.insertInto('providers').values(row).execute());
      } catch (error) {
        if ((error as { code?: string }).code !== uniqueViolation) throw error;
        throw new AppError(
          'conflict',
          `A provider named "${row.name}" exists already. Choose another name, or delete that one first.`,
          { cause: error },
        );
      }
    },

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

    /** Makes the route or replaces its tiers. */
    async putRoute(scope: SettingsScope, row: RouteRow): Promise<void> {
      await write(scope, (db) =>
        sql`insert into model_routes (id, tenant_id, name, tiers, created_by, created_at, updated_at)
          values (${row.id}, ${row.tenant_id}, ${row.name}, ${JSON.stringify(row.tiers)}::jsonb, ${row.created_by},
            ${row.created_at}, ${row.updated_at})
          on conflict (tenant_id, name) do update set tiers = excluded.tiers, updated_at = excluded.updated_at`.execute(
          db,
        ),
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
