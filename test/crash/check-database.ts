import pg from 'pg';
import { makeContent } from './content.ts';
import { nameOf } from './document-traffic.ts';
import { type CrashRun, report } from './house.ts';
import type { DocumentState, KnownDocument } from './journal.ts';

/** Looks into the database of the server on this data directory, as the owner. */
export async function withDatabase<T>(dataDir: string, look: (client: pg.Client) => Promise<T>): Promise<T> {
  const socket = encodeURIComponent(`${dataDir}/run`);
  const client = new pg.Client({
    connectionString: `postgresql://gatehouse@localhost/gatehouse?host=${socket}&port=5432`,
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    return await look(client);
  } finally {
    await client.end().catch(() => {});
  }
}

interface StoredDocument {
  readonly id: string;
  readonly tenant_id: string;
  readonly external_id: string | null;
  readonly title: string;
  readonly status: string;
  readonly reason: string | null;
  readonly version: number;
  readonly searchable_version: number | null;
  readonly hash: string;
  readonly readers: readonly string[];
}

/**
 * Every document that was acknowledged is there once, as acknowledged or as a request without an answer would have
 * made it; no deleted one is; and there is none that nobody sent.
 */
export async function checkDocuments(run: CrashRun, client: pg.Client): Promise<void> {
  const { rows } = await client.query<StoredDocument>(
    `select id, tenant_id, external_id, title, status, reason, version, searchable_version,
       encode(content_hash, 'hex') as hash, readers
     from documents where tenant_id = any($1)`,
    [run.tenants.map((tenant) => tenant.id)],
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const document of run.journal.documents) {
    if (document.id === null) continue;
    const row = byId.get(document.id);
    byId.delete(document.id);
    checkRow(run, document, row);
  }
  // What is left was made by requests whose reply never came.
  const unanswered = new Map(
    run.journal.documents
      .filter((document) => document.id === null)
      .map((document) => [hashOf(document.pending?.next ?? null), document]),
  );
  for (const row of byId.values()) {
    const document = unanswered.get(row.hash);
    if (document) unanswered.delete(row.hash);
    else
      report(run, 'once', `there is a document ${row.id} (${row.title}) that nobody sent, or one too many`);
    if (row.status === 'failed') report(run, 'kept', `${row.id} (${row.title}) has failed: ${row.reason}`);
  }
}

function checkRow(run: CrashRun, document: KnownDocument, row: StoredDocument | undefined): void {
  const possible = run.journal.possibleStates(document);
  if (row === undefined) {
    if (!possible.includes(null)) report(run, 'kept', `${nameOf(document)} is not there any more`);
    return;
  }
  if (!possible.some((state) => state !== null && isAs(state, row))) {
    const found = `version ${row.version}, title ${row.title}, readers ${row.readers.join()}, hash ${row.hash}`;
    const rule = document.deleted ? 'deleted' : 'kept';
    report(run, rule, `${nameOf(document)} is not as acknowledged: ${found}`);
  }
  if (row.external_id !== document.externalId)
    report(run, 'kept', `${nameOf(document)} has the external id ${row.external_id}`);
  if (row.status === 'failed') report(run, 'kept', `${nameOf(document)} has failed: ${row.reason}`);
  if (document.readyVersion > (row.searchable_version ?? 0))
    report(
      run,
      'findable',
      `${nameOf(document)} was searchable at ${document.readyVersion}, now at ${row.searchable_version}`,
    );
}

function isAs(state: DocumentState, row: StoredDocument): boolean {
  const readers = state.groups.map((group) => `group:${group}`);
  return (
    row.version === state.version &&
    row.hash === hashOf(state) &&
    row.readers.join() === readers.join() &&
    // Before it is read, a file without a given title is called otherwise.
    (row.title === (state.givenTitle ?? state.content.heading) ||
      (state.givenTitle === null && row.status !== 'ready'))
  );
}

const hashes = new WeakMap<object, string>();

function hashOf(state: DocumentState | null): string {
  if (state === null) return '';
  const known = hashes.get(state.content);
  if (known !== undefined) return known;
  const { sha256 } = makeContent(state.content);
  hashes.set(state.content, sha256);
  return sha256;
}
