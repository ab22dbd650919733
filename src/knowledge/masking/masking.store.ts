import { type Kysely, sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';

type MaskingRuleTable = {
  tenant_id: string;
  field: string;
  readers: string[];
  created_by: string;
  created_at: Date;
  updated_at: Date;
};
export type MaskingRuleRow = MaskingRuleTable;

export type MaskingStore = ReturnType<typeof createMaskingStore>;

/** SQL of masking rules. */
export function createMaskingStore(database: Database) {
  const inTenant = <T>(
    scope: DatabaseScope,
    work: (db: Kysely<{ masking_rules: MaskingRuleTable }>) => Promise<T>,
  ): Promise<T> =>
    database.inTenant(scope, (tx) => work(tx.withTables<{ masking_rules: MaskingRuleTable }>()));

  return {
    /** All of a tenant's, which are not many. */
    all: (scope: DatabaseScope): Promise<MaskingRuleRow[]> =>
      inTenant(scope, (db) => db.selectFrom('masking_rules').selectAll().orderBy('field').execute()),

    /** Sets who reads a field, in place of what was set before. @throws AppError `conflict` when there are too many. */
    set: (scope: DatabaseScope, row: MaskingRuleRow, most: number): Promise<MaskingRuleRow> =>
      inTenant(scope, async (db) => {
        const others = await db
          .selectFrom('masking_rules')
          .select((eb) => eb.fn.countAll<bigint>().as('count'))
          .where('field', '<>', row.field)
          .executeTakeFirstOrThrow();
        if (others.count >= BigInt(most)) {
          throw new AppError('conflict', `A tenant masks at most ${most} fields. Remove a rule first.`);
        }
        return db
          .insertInto('masking_rules')
          .values(row)
          .onConflict((conflict) =>
            conflict
              .columns(['tenant_id', 'field'])
              .doUpdateSet({ readers: row.readers, updated_at: row.updated_at }),
          )
          .returningAll()
          .executeTakeFirstOrThrow();
      }),

    /** @returns whether there was one. */
    remove: (scope: DatabaseScope, field: string): Promise<boolean> =>
      inTenant(scope, async (db) => {
        const result = await db.deleteFrom('masking_rules').where('field', '=', field).executeTakeFirst();
        return result.numDeletedRows > 0n;
      }),
  };
}

/** Names of the members of metadata that the caller of this transaction may not read. */
export async function maskedFields<Tables>(db: Kysely<Tables>): Promise<readonly string[]> {
  const { rows } = await sql<{ masked: string[] }>`select masked_fields() as masked`.execute(db);
  return rows[0]?.masked ?? [];
}
