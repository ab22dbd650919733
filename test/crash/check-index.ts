import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as lancedb from '@lancedb/lancedb';
import type pg from 'pg';
import { type CrashRun, report } from './house.ts';

/** What the index of a tenant must hold, as the database says. */
export interface ExpectedIndex {
  readonly tenant: string;
  readonly tenantId: string;
  readonly generation: number;
  readonly hasVectors: boolean;
  /** Ids of the chunks of every version that answers, each with its document. */
  readonly chunks: ReadonlyMap<string, string>;
}

export async function readExpectedIndexes(client: pg.Client): Promise<ExpectedIndex[]> {
  const { rows } = await client.query<{
    slug: string;
    id: string;
    generation: number;
    dimensions: number | null;
  }>(
    `select t.slug, t.id, g.number as generation, g.dimensions from index_generations g
       join tenants t on t.id = g.tenant_id where g.state = 'active'`,
  );
  const expected: ExpectedIndex[] = [];
  for (const { slug, id, generation, dimensions } of rows) {
    const chunks = await client.query<{ id: string; document_id: string }>(
      `select c.id, c.document_id from chunks c
         join documents d on d.id = c.document_id and d.searchable_version = c.version where c.tenant_id = $1`,
      [id],
    );
    expected.push({
      tenant: slug,
      tenantId: id,
      generation,
      hasVectors: dimensions !== null,
      chunks: new Map(chunks.rows.map((row) => [row.id, row.document_id])),
    });
  }
  return expected;
}

/** Opens the index's own files, the server being stopped, and compares row by row. */
export async function checkIndexes(run: CrashRun, expected: readonly ExpectedIndex[]): Promise<void> {
  const root = join(run.dataDir, 'index');
  for (const name of await readdir(root)) {
    if (!expected.some(({ tenantId }) => tenantId === name))
      report(run, 'index', `${name} is the index of no tenant`);
  }
  for (const index of expected) await checkIndex(run, root, index);
}

async function checkIndex(run: CrashRun, root: string, expected: ExpectedIndex): Promise<void> {
  const { tenant, tenantId, generation, chunks, hasVectors } = expected;
  const say = (detail: string) => report(run, 'index', `${tenant}: ${detail}`);
  const connection = await lancedb.connect(join(root, tenantId));
  try {
    const names = await connection.tableNames();
    if (names.join() !== `g${generation}`) say(`there are tables ${names.join()}, not g${generation} alone`);
    const table = await connection.openTable(`g${generation}`);
    const columns = ['chunk_id', 'document_id', ...(hasVectors ? ['vector'] : [])];
    const rows = await table.query().select(columns).toArray();
    table.close();
    const seen = new Set<string>();
    for (const row of rows) {
      // A row without ids is no passage; the index keeps one for itself.
      if (row.chunk_id === '') continue;
      if (seen.has(row.chunk_id)) say(`the chunk ${row.chunk_id} is there twice`);
      seen.add(row.chunk_id);
      if (chunks.get(row.chunk_id) !== row.document_id)
        say(`the chunk ${row.chunk_id} of document ${row.document_id} is not in the database`);
      if (hasVectors && row.vector === null) say(`the chunk ${row.chunk_id} has no vector`);
    }
    const missing = [...chunks.keys()].filter((id) => !seen.has(id));
    if (missing.length > 0) say(`${missing.length} chunks are missing: ${missing.slice(0, 5).join(', ')}`);
  } finally {
    connection.close();
  }
}
