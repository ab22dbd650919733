import type { ColumnType, Insertable, Kysely, Selectable, Updateable } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';
import type { PageCursor } from '../../platform/page.ts';

type RoleTable = {
  id: string;
  tenant_id: string;
  name: string;
  description: string;
  permissions: string[];
  /** As it was sent; null: its holders know of documents by their readers alone. */
  document_condition: ColumnType<object | null, object | null | undefined, object | null>;
  /** The same, compiled. */
  document_path: ColumnType<string | null, string | null | undefined, string | null>;
  document_times: ColumnType<number[], number[] | undefined, number[]>;
  created_by: string;
  created_at: Date;
  updated_at: Date;
};

type RoleTables = { custom_roles: RoleTable };
export type RoleRow = Selectable<RoleTable>;

export type RolesStore = ReturnType<typeof createRolesStore>;

/** SQL of roles of tenants' own. */
export function createRolesStore(database: Database) {
  const platform = database.platform.withTables<RoleTables>();
  const inTenant = <T>(scope: DatabaseScope, work: (db: Kysely<RoleTables>) => Promise<T>): Promise<T> =>
    database.inTenant(scope, (tx) => work(tx.withTables<RoleTables>()));
  /** A role that nobody else changes until the transaction ends. */
  const held = (db: Kysely<RoleTables>, name: string): Promise<RoleRow | undefined> =>
    db.selectFrom('custom_roles').selectAll().where('name', '=', name).forUpdate().executeTakeFirst();

  return {
    /** Of every tenant, for the snapshot. */
    all: (): Promise<RoleRow[]> => platform.selectFrom('custom_roles').selectAll().execute(),
    oneOfAll: (id: string): Promise<RoleRow | undefined> =>
      platform.selectFrom('custom_roles').selectAll().where('id', '=', id).executeTakeFirst(),

    page: (scope: DatabaseScope, limit: number, after: PageCursor | null): Promise<RoleRow[]> =>
      inTenant(scope, (db) => {
        let query = db.selectFrom('custom_roles').selectAll();
        if (after) {
          query = query.where((eb) =>
            eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.createdAt, after.id)),
          );
        }
        return query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
      }),

    byName: (scope: DatabaseScope, name: string): Promise<RoleRow | undefined> =>
      inTenant(scope, (db) =>
        db.selectFrom('custom_roles').selectAll().where('name', '=', name).executeTakeFirst(),
      ),

    /** @throws AppError `conflict` when the tenant has a role of that name; `invalid` when it has too many. */
    add: (scope: DatabaseScope, row: Insertable<RoleTable>, most: number): Promise<RoleRow> =>
      inTenant(scope, async (db) => {
        const { count } = await db
          .selectFrom('custom_roles')
          .select((eb) => eb.fn.countAll<bigint>().as('count'))
          .executeTakeFirstOrThrow();
        if (count >= BigInt(most)) {
          throw new AppError('conflict', `A tenant has at most ${most} roles of its own. Delete one first.`);
        }
        return db.insertInto('custom_roles').values(row).returningAll().executeTakeFirstOrThrow();
      }).catch((error) => {
        throw (error as { code?: string }).code === uniqueViolation
          ? new AppError('conflict', `There is a role "${row.name}" already. Choose another name.`, {
              cause: error,
            })
          : error;
      }),

    /**
     * Changes a role as `change` decides from what is there, which nobody else changes meanwhile.
     * @returns the role afterwards; undefined when there is none of that name.
     */
    change: (
      scope: DatabaseScope,
      name: string,
      change: (row: RoleRow) => Updateable<RoleTable>,
    ): Promise<RoleRow | undefined> =>
      inTenant(scope, async (db) => {
        const row = await held(db, name);
        if (!row) return undefined;
        return db
          .updateTable('custom_roles')
          .set(change(row))
          .where('id', '=', row.id)
          .returningAll()
          .executeTakeFirstOrThrow();
      }),

    /**
     * @param decide may throw, of what is there.
     * @returns the id of what was deleted. @throws AppError `conflict` while somebody holds the role.
     */
    remove: (
      scope: DatabaseScope,
      name: string,
      decide: (row: RoleRow) => void,
    ): Promise<string | undefined> =>
      inTenant(scope, async (db) => {
        const row = await held(db, name);
        if (!row) return undefined;
        decide(row);
        await db.deleteFrom('custom_roles').where('id', '=', row.id).execute();
        return row.id;
      }).catch((error) => {
        throw (error as { constraint?: string }).constraint === 'role_in_use'
          ? new AppError(
              'conflict',
              `Somebody holds the role "${name}". Give its users and keys another role, or revoke the keys, first.`,
              { cause: error },
            )
          : error;
      }),
  };
}

const uniqueViolation = '23505';

/** For `catch` where a role is given to somebody: one that is not there is the caller's mistake. */
export function refuseUnknownRole(role: string) {
  return (error: unknown): never => {
    if ((error as { constraint?: string }).constraint === 'role_exists') throw unknownRole(role, error);
    throw error;
  };
}

/** @returns the refusal that names the field `role`. */
export function unknownRole(role: string, cause?: unknown): AppError {
  return new AppError('invalid', `There is no role "${role}". See GET /api/v1/roles.`, {
    errors: [{ path: 'role', message: `unknown role ${role}` }],
    cause,
  });
}
