import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';

/** Reads the number that migrations/0008 keeps. */
export function createKnowledgeVersionStore(database: Database) {
  return {
    /**
     * Which state of its documents a tenant is in. It has moved on by the time any change is acknowledged that could
     * change an answer, on whichever instance the change was made, so what was made under an older number is not given
     * out again. Read it before the documents: what is read afterwards is at least as new.
     * @returns a decimal number; `0` for a tenant that never had a document. Null for a caller whose role speaks of the
     *   time: what they may read changes by itself, so nothing that was made for them is to be given again.
     */
    knowledgeVersion: (scope: DatabaseScope): Promise<string | null> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<{ version: bigint | null; timed: boolean }>`
          select (select version from knowledge_versions where tenant_id = ${scope.tenantId}) as version,
            reader_condition_is_timed() as timed`.execute(tx);
        const [row] = rows;
        return row?.timed ? null : String(row?.version ?? 0n);
      }),

    /** Changes with the knowledge version, and with what of documents is masked for the caller. Null as above. */
    mayRead: (scope: DatabaseScope): Promise<string | null> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<{ state: string | null }>`
          select case when not reader_condition_is_timed() then coalesce((select version from knowledge_versions
            where tenant_id = ${scope.tenantId}), 0) || ' ' || array_to_json(masked_fields()) end as state`.execute(
          tx,
        );
        return rows[0]?.state ?? null;
      }),
  };
}
