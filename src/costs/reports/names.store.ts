import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';

export type NamesStore = ReturnType<typeof createNamesStore>;

/** What people call the keys and users that lines of a report are of. */
export function createNamesStore(database: Pick<Database, 'inTenant'>) {
  return {
    /** @returns name by id; those that are gone, or were never this tenant's, are left out. */
    async namesOf(
      scope: DatabaseScope,
      dimension: 'key' | 'user',
      ids: readonly string[],
    ): Promise<ReadonlyMap<string, string>> {
      if (ids.length === 0) return new Map();
      const named = dimension === 'key' ? sql`name from api_keys` : sql`email as name from users`;
      const { rows } = await database.inTenant(scope, (tx) =>
        sql<{
          id: string;
          name: string;
        }>`select id::text as id, ${named} where id::text = any (${ids})`.execute(tx),
      );
      return new Map(rows.map(({ id, name }) => [id, name]));
    },
  };
}
