import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

/** A row with sealed values in it. */
export interface SealedRow {
  readonly id: string;
  readonly tenantId: string | null;
  readonly values: readonly { readonly sealed: string; readonly purpose: string }[];
}

/** Where stored secrets are, so that they can be sealed anew. */
export interface SealedColumn {
  /** For people: the table and the column. */
  readonly name: string;
  /** Rows with a value that a current data key did not seal, by id. */
  stale(after: string | null, limit: number): Promise<SealedRow[]>;
  countStale(): Promise<number>;
  /**
   * Puts the values in place of those of the row, in the same order.
   * @returns false when the row is gone or holds other values by now, and nothing was changed.
   */
  replace(row: SealedRow, values: readonly string[]): Promise<boolean>;
}

/** What tells, in SQL, a value (an expression of type text) that no current data key sealed. */
export const isStale = (value: string): string =>
  `(split_part(${value}, '.', 1) <> 'v2' or split_part(${value}, '.', 2) not in (
    select id::text from data_keys where superseded_at is null))`;

export interface TextColumn {
  readonly table: string;
  /** `id` when absent. */
  readonly idColumn?: string;
  readonly column: string;
  /** Absent: the rows are the platform's. */
  readonly tenantColumn?: string;
  readonly purpose: (id: string, tenantId: string | null) => string;
}

/** One sealed value in a column of type text. The names are put into SQL as they are. */
export function textColumn(
  database: Pick<Database, 'platform'>,
  { table, idColumn = 'id', column, tenantColumn, purpose }: TextColumn,
): SealedColumn {
  const names = {
    id: sql.raw(`${idColumn}::text`),
    table: sql.raw(table),
    column: sql.raw(column),
    stale: sql.raw(isStale(column)),
  };
  const tenant = sql.raw(tenantColumn ?? 'null::uuid');
  return {
    name: `${table}.${column}`,
    async stale(after, limit) {
      const { rows } = await sql<{ id: string; tenant_id: string | null; sealed: string }>`
        select ${names.id} as id, ${tenant} as tenant_id, ${names.column} as sealed from ${names.table}
        where ${names.column} is not null and ${names.stale} and ${after === null ? sql`true` : sql`${names.id} > ${after}`}
        order by 1 limit ${limit}`.execute(database.platform);
      return rows.map(({ id, tenant_id: tenantId, sealed }) => ({
        id,
        tenantId,
        values: [{ sealed, purpose: purpose(id, tenantId) }],
      }));
    },
    async countStale() {
      const { rows } = await sql<{ n: bigint }>`select count(*) as n from ${names.table}
        where ${names.column} is not null and ${names.stale}`.execute(database.platform);
      return Number(rows[0]?.n ?? 0);
    },
    async replace(row, [value]) {
      const { numAffectedRows } = await sql`update ${names.table} set ${names.column} = ${value}
        where ${names.id} = ${row.id} and ${names.column} = ${row.values[0]?.sealed}`.execute(
        database.platform,
      );
      return numAffectedRows === 1n;
    },
  };
}
