import { type Selectable, sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import { onlyPlace } from '../platform/place.ts';
import type { IndexGeneration } from './index/search-index.ts';

/** A generation of a tenant's index, as the database knows it. */
export interface KnownGeneration extends IndexGeneration {
  readonly state: 'building' | 'active' | 'retired';
  /** What made its vectors; null when it has none. */
  readonly embeddingModel: string | null;
}

type GenerationTable = {
  tenant_id: string;
  place: string;
  number: number;
  state: KnownGeneration['state'];
  embedding_model: string | null;
  dimensions: number | null;
  created_at: Date;
};

type IndexTables = {
  index_generations: GenerationTable;
  index_vectors_missing: {
    tenant_id: string;
    place: string;
    generation: number;
    document_id: string;
    attempts: number;
  };
};

export type IndexGenerationsStore = ReturnType<typeof createIndexGenerationsStore>;

/** A document that fails by itself this often is left with its words until it changes. */
const maxAttempts = 10;

/**
 * SQL of index generations; all of it the platform's, for no caller asks for it.
 * @param place the data directory whose index it is: each has generations of its own.
 */
export function createIndexGenerationsStore(database: Database, place: string = onlyPlace) {
  const db = database.platform.withTables<IndexTables>();

  return {
    /** All generations of a tenant, the newest first. */
    async generations(tenantId: string): Promise<KnownGeneration[]> {
      const rows = await db
        .selectFrom('index_generations')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('place', '=', place)
        .orderBy('number', 'desc')
        .execute();
      return rows.map(toGeneration);
    },

    async tenantsWithGenerations(): Promise<string[]> {
      const rows = await db
        .selectFrom('index_generations')
        .select('tenant_id')
        .distinct()
        .where('place', '=', place)
        .execute();
      return rows.map((row) => row.tenant_id);
    },

    /** Tenants that have a generation in the making, or passages whose vectors are worth another try. */
    async tenantsWithUnfinishedVectors(): Promise<string[]> {
      const { rows } = await sql<{ tenant_id: string }>`
        select tenant_id from index_generations where place = ${place} and state = 'building'
        union select tenant_id from index_vectors_missing where place = ${place} and attempts < ${maxAttempts}`.execute(
        db,
      );
      return rows.map((row) => row.tenant_id);
    },

    async insert(tenantId: string, generation: KnownGeneration, now: Date): Promise<void> {
      await db
        .insertInto('index_generations')
        .values({
          tenant_id: tenantId,
          place,
          number: generation.number,
          state: generation.state,
          embedding_model: generation.embeddingModel,
          dimensions: generation.dimensions,
          created_at: now,
        })
        .execute();
    },

    /** Makes a building generation the one that answers, and retires the one that did, at the same instant. */
    async activate(tenantId: string, number: number): Promise<void> {
      await db.transaction().execute(async (tx) => {
        const ofTenant = tx
          .updateTable('index_generations')
          .where('tenant_id', '=', tenantId)
          .where('place', '=', place);
        await ofTenant.set({ state: 'retired' }).where('state', '=', 'active').execute();
        await ofTenant.set({ state: 'active' }).where('number', '=', number).execute();
      });
    },

    async retire(tenantId: string, number: number): Promise<void> {
      await db
        .updateTable('index_generations')
        .set({ state: 'retired' })
        .where('tenant_id', '=', tenantId)
        .where('place', '=', place)
        .where('number', '=', number)
        .execute();
    },

    async remove(tenantId: string, number: number): Promise<void> {
      await db
        .deleteFrom('index_generations')
        .where('tenant_id', '=', tenantId)
        .where('place', '=', place)
        .where('number', '=', number)
        .execute();
    },

    async markVectorsMissing(
      tenantId: string,
      number: number,
      documentIds: readonly string[],
    ): Promise<void> {
      if (documentIds.length === 0) return;
      await sql`insert into index_vectors_missing (tenant_id, place, generation, document_id)
        select ${tenantId}, ${place}, ${number}, document_id from unnest(${[...documentIds]}::uuid[]) as document_id
        on conflict (tenant_id, place, generation, document_id) do update set attempts = 0`.execute(db);
    },

    async countFailedAttempt(tenantId: string, number: number, documentId: string): Promise<void> {
      await sql`update index_vectors_missing set attempts = attempts + 1
        where tenant_id = ${tenantId} and place = ${place} and generation = ${number} and document_id = ${documentId}`.execute(
        db,
      );
    },

    async clearVectorsMissing(
      tenantId: string,
      number: number,
      documentIds: readonly string[],
    ): Promise<void> {
      if (documentIds.length === 0) return;
      await sql`delete from index_vectors_missing where tenant_id = ${tenantId} and place = ${place} and generation = ${number}
        and document_id = any(${[...documentIds]}::uuid[])`.execute(db);
    },

    /** Documents whose vectors are worth trying for, those that failed least often first. */
    async vectorsMissing(tenantId: string, number: number, limit: number): Promise<string[]> {
      const rows = await db
        .selectFrom('index_vectors_missing')
        .select('document_id')
        .where('tenant_id', '=', tenantId)
        .where('place', '=', place)
        .where('generation', '=', number)
        .where('attempts', '<', maxAttempts)
        .orderBy('attempts')
        .orderBy('document_id')
        .limit(limit)
        .execute();
      return rows.map((row) => row.document_id);
    },
  };
}

function toGeneration(row: Selectable<GenerationTable>): KnownGeneration {
  const { number, state, dimensions } = row;
  return { number, state, dimensions, embeddingModel: row.embedding_model };
}
