import type { Database, DatabaseScope } from '../platform/database/database.ts';

type Tables = { knowledge_versions: { tenant_id: string; version: bigint } };

/** Reads the number that migrations/0008 keeps. */
export function createKnowledgeVersionStore(database: Database) {
  return {
    /**
     * Which state of its documents a tenant is in. It has moved on by the time any change is acknowledged that could
     * change an answer, on whichever instance the change was made, so what was made under an older number is not given
     * out again. Read it before the documents: what is read afterwards is at least as new.
     * @returns a decimal number; `0` for a tenant that never had a document.
     */
    knowledgeVersion: (scope: DatabaseScope): Promise<string> =>
      database.inTenant(scope, async (tx) => {
        const row = await tx
          .withTables<Tables>()
          .selectFrom('knowledge_versions')
          .select('version')
          .where('tenant_id', '=', scope.tenantId)
          .executeTakeFirst();
        return String(row?.version ?? 0n);
      }),
  };
}
