import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { type CrashRun, report } from './house.ts';

/** Longer than the reconciler's minute, in which forgotten work is found again. */
const restWithinMs = 150_000;
const lookEveryMs = 250;

/**
 * Waits until nothing is on its way any more: every document ready, the index told of everything, every deletion
 * complete, no job waiting or running.
 */
export async function waitForRest(run: CrashRun, client: pg.Client): Promise<void> {
  const deadline = performance.now() + restWithinMs;
  for (;;) {
    const { rows } = await client.query<{ what: string; count: number }>(`
      select 'documents on their way' as what, count(*)::int from documents where status not in ('ready', 'failed')
      union all select 'changes the index was not told of', count(*)::int from index_changes
      union all select 'documents without their vectors', count(*)::int from index_vectors_missing
      union all select 'generations being built', count(*)::int from index_generations where state = 'building'
      union all select 'deletions not complete', count(*)::int from deletion_receipts where completed_at is null
      union all select 'jobs waiting or running', count(*)::int from dbos.workflow_status
        where status in ('PENDING', 'ENQUEUED', 'DELAYED')`);
    const left = rows.filter((row) => row.count > 0);
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      for (const { what, count } of left)
        report(run, 'rest', `after ${restWithinMs} ms there are ${count} ${what}`);
      return;
    }
    await pause(lookEveryMs);
  }
}

/** Rows that only a half-done change could leave. */
export async function checkRows(run: CrashRun, client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ what: string; count: number }>(`
    select 'documents under one external id twice' as what, count(*)::int from (
      select 1 from documents where external_id is not null group by tenant_id, external_id having count(*) > 1) as t
    union all select 'chunks of versions that do not answer', count(*)::int from chunks c
      join documents d on d.id = c.document_id where c.version is distinct from d.searchable_version
    union all select 'texts of versions that do not answer', count(*)::int from document_texts t
      join documents d on d.id = t.document_id where t.version is distinct from d.searchable_version
    union all select 'documents whose chunks are not all there', count(*)::int from documents d
      where d.status = 'ready' and d.chunk_count <> (select count(*) from chunks c where c.document_id = d.id)
    union all select 'tenants with more than one index', count(*)::int from (
      select 1 from index_generations group by tenant_id having count(*) > 1) as t
    union all select 'deletions that found something', count(*)::int from deletion_receipts
      where exists (select from jsonb_array_elements(places) p where (p ->> 'found')::int > 0)
    union all select 'jobs given up', count(*)::int from dbos.workflow_status
      where status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'`);
  for (const { what, count } of rows) if (count > 0) report(run, 'leftovers', `there are ${count} ${what}`);
}

/**
 * Every file in the object store belongs to a document or is noted as loose; what is noted with a time that has
 * passed goes within a minute; and every document's file is there.
 */
export async function checkFiles(run: CrashRun, client: pg.Client): Promise<void> {
  const deadline = performance.now() + restWithinMs;
  for (;;) {
    const overdue = await client.query(
      `select 1 from loose_blobs where removable_at < now() - interval '2 seconds'`,
    );
    if (overdue.rowCount === 0) break;
    if (performance.now() > deadline) {
      report(run, 'leftovers', `${overdue.rowCount} files are not cleared away`);
      break;
    }
    await pause(lookEveryMs);
  }
  const held = await client.query<{ key: string }>('select blob_key as key from documents');
  const loose = await client.query<{ key: string }>('select blob_key as key from loose_blobs');
  const root = join(run.dataDir, 'objects');
  const found = new Set((await filesUnder(root)).map((path) => path.slice(root.length + 1)));
  const known = new Set([...held.rows, ...loose.rows].map((row) => row.key));
  for (const { key } of held.rows)
    if (!found.has(key)) report(run, 'kept', `the file ${key} of a document is gone`);
  const strangers = [...found].filter((key) => !known.has(key));
  if (strangers.length > 0)
    report(
      run,
      'leftovers',
      `${strangers.length} files belong to nothing: ${strangers.slice(0, 5).join(', ')}`,
    );
}

/** A kill in the middle of writing a file is rare, so the first one's trace is made by hand. */
export async function leaveDraft(run: CrashRun): Promise<void> {
  const drafts = join(run.dataDir, 'objects', '.drafts');
  await mkdir(drafts, { recursive: true });
  await writeFile(join(drafts, 'half-written'), 'The lamp is trimmed at');
}

/** After a graceful stop every ledger row is in the database. */
export async function checkSpool(run: CrashRun): Promise<void> {
  const left = await readdir(join(run.dataDir, 'spool'));
  if (left.length > 0) report(run, 'ledger', `the spool holds ${left.join(', ')} after a graceful stop`);
}

/** What a killed start left beside the data: half-made databases and the like. */
export async function checkDataDirectory(run: CrashRun): Promise<void> {
  const left = (await readdir(run.dataDir)).filter((name) => name.startsWith('postgres.unfinished-'));
  if (left.length > 0) report(run, 'leftovers', `${left.join(', ')} is left of starts that were killed`);
}

async function filesUnder(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
