import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../platform/database/database.ts';
import type { SearchFilters } from './find-passages.ts';

export type DocumentFilterStore = ReturnType<typeof createDocumentFilterStore>;

/** Which documents a search is about, where the index cannot know. */
export function createDocumentFilterStore(database: Database) {
  return {
    /**
     * Up to `limit` documents that this caller may read now and that the filters let through, in the order of their ids,
     * after the given one. By what is masked for the caller nothing is found.
     */
    readable: (
      scope: DatabaseScope,
      filters: SearchFilters,
      limit: number,
      after: string | null = null,
    ): Promise<string[]> =>
      database.inTenant(scope, async (tx) => {
        const ids = filters.documentIds ? [...filters.documentIds] : null;
        const { rows } = await sql<{ id: string }>`
          select id from documents where searchable_version is not null
            and (${ids}::uuid[] is null or id = any(${ids}::uuid[]))
            and (${after}::uuid is null or id > ${after}::uuid)
            and metadata @> ${JSON.stringify(filters.metadata ?? {})}::jsonb
            and not ${JSON.stringify(filters.metadata ?? {})}::jsonb ?| (select masked_fields())
          order by id limit ${limit}`.execute(tx);
        return rows.map((row) => row.id);
      }),

    /** The documents of a tenant that changed last, as the platform. */
    async recent(tenantId: string, limit: number): Promise<string[]> {
      const { rows } = await sql<{ id: string }>`
        select id from documents where tenant_id = ${tenantId} and searchable_version is not null
        order by updated_at desc limit ${limit}`.execute(database.platform);
      return rows.map((row) => row.id);
    },
  };
}
