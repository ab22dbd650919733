import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterEach, describe, expect, test } from 'vitest';
import { startChild, until } from '../../test/harness/child.ts';
import { createTestDatabase } from '../../test/harness/database.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';
import { addTenant } from '../../test/harness/tenants.ts';

const program = fileURLToPath(new URL('../../test/harness/knowledge-process.ts', import.meta.url));
const tenantId = '01a00000-0000-7000-8000-000000000001';

let server: KnowledgeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

/** A database with a tenant, and a directory for files, as a first process finds them. */
async function fresh() {
  const test = await createTestDatabase();
  await addTenant(test.database, tenantId, 'one');
  const from = { test, objectsDir: await mkdtemp(join(tmpdir(), 'gatehouse-objects-')) };
  const start = (stage: string, name: string) =>
    startChild(program, [test.url, from.objectsDir, tenantId, stage, name]);
  return { from, start };
}

async function figures(running: KnowledgeServer) {
  const { rows } = await sql<{ documents: number; loose: number; open: number }>`
    select (select count(*)::int from documents) as documents, (select count(*)::int from loose_blobs) as loose,
      (select count(*)::int from deletion_receipts where completed_at is null) as open
  `.execute(running.test.database.platform);
  const entries = await readdir(running.objectsDir, { recursive: true, withFileTypes: true });
  const kept = entries.filter((entry) => entry.isFile() && !entry.parentPath.endsWith('.drafts')).length;
  return { ...(rows[0] ?? { documents: -1, loose: -1, open: -1 }), kept };
}

describe('kill -9', () => {
  test.each(['committed', 'parse', 'index'])('at the stage "%s" loses nothing', async (stage) => {
    const { from, start } = await fresh();
    const child = start(stage, stage);
    await child.said(`at ${stage}`);
    await child.kill9();

    server = await startKnowledgeServer({ from });
    const key = await server.keyIn('one', 'admin');
    const running = server;
    const ready = await until(async () => {
      const list = await running.request(key, 'GET', '/documents');
      expect(list.json.documents).toHaveLength(1);
      const [document] = list.json.documents;
      return document.status === 'ready' && document;
    });
    expect(ready).toMatchObject({ version: 1, searchable_version: 1, chunk_count: 1 });
    const text = await server.request(key, 'GET', `/documents/${ready.id}/text`);
    expect(text.json.text).toBe(`Document 1 of ${stage}.`);
    expect(await figures(server)).toEqual({ documents: 1, loose: 0, open: 0, kept: 1 });
  });

  test('while deleting: the receipt is completed by the next process', async () => {
    const { from, start } = await fresh();
    const child = start('forget', 'forget');
    await child.said('at forget');
    await child.kill9();
    const id = child.linesOf('acknowledged')[0]?.split(' ')[0];

    server = await startKnowledgeServer({ from });
    const key = await server.keyIn('one', 'admin');
    const running = server;
    const receipt = await until(async () => {
      const now = (await running.request(key, 'GET', `/documents/${id}/deletion`)).json;
      return now.status === 'complete' && now;
    });
    expect(receipt.places.every((place: { found: number }) => place.found === 0)).toBe(true);
    expect(await figures(server)).toEqual({ documents: 0, loose: 0, open: 0, kept: 0 });
  });

  test('again and again while documents stream in: every acknowledged one is there once, and ready', async () => {
    const { from, start } = await fresh();
    const acknowledged = new Map<string, string>();
    for (let round = 1; round <= 8; round += 1) {
      const child = start('running', `round ${round}`);
      // A different number each time, so that each kill meets other work.
      await child.said(`Document ${round * 3} of`);
      await child.kill9();
      for (const line of child.linesOf('acknowledged')) {
        const [id = '', ...words] = line.split(' ');
        acknowledged.set(id, words.join(' '));
      }
    }
    expect(acknowledged.size).toBeGreaterThanOrEqual(108);

    server = await startKnowledgeServer({ from });
    const running = server;
    await server.keyIn('one', 'admin');
    type Stored = { id: string; status: string; text: string; texts: number; chunks: number };
    const stored = await until(async () => {
      const { rows } = await sql<Stored>`
        select d.id, d.status, min(t.text) as text, count(distinct t.version)::int as texts,
          (select count(*)::int from chunks c where c.document_id = d.id) as chunks
        from documents d left join document_texts t on t.document_id = d.id group by d.id
      `.execute(running.test.database.platform);
      return rows.every((row) => row.status === 'ready' || row.status === 'failed') && rows;
    });
    const byId = new Map(stored.map((row) => [row.id, row]));
    for (const [id, text] of acknowledged) {
      expect(byId.get(id)).toEqual({ id, status: 'ready', text, texts: 1, chunks: 1 });
    }
    // At most the one that was in the making at each kill was stored without having been acknowledged.
    expect(stored.length - acknowledged.size).toBeLessThanOrEqual(8);
    expect(new Set(stored.map((row) => row.text)).size).toBe(stored.length);
    const { documents, loose, kept } = await figures(server);
    expect(kept).toBeLessThanOrEqual(documents + loose);
    expect(kept).toBeGreaterThanOrEqual(documents);
    // Nine starts of a process: on a machine that has other work, each takes its time.
  }, 180_000);
});

describe('work that goes wrong', () => {
  const gate = { open: () => {}, reached: false };
  const start = async () => {
    server = await startKnowledgeServer({
      async parse({ path }) {
        const text = await readFile(path, 'utf8');
        if (text.startsWith('SLOW')) {
          gate.reached = true;
          await new Promise<void>((resolve) => {
            gate.open = resolve;
          });
        }
        return { text, contentType: 'text/plain', warnings: ['read by a test'] };
      },
    });
    return { running: server, key: await server.keyIn('one', 'operator') };
  };

  test('an index that comes back is used, whether soon or only after the job gave up', async () => {
    const { running, key } = await start();
    running.index.failure = new Error('the index is away');
    const { id } = (await running.request(key, 'POST', '/documents', { text: 'Patient.' })).json;
    const attempts = async () => {
      const { rows } = await sql<{
        attempts: number;
      }>`select attempts from documents where id = ${id}`.execute(running.test.database.platform);
      return rows[0]?.attempts ?? 0;
    };
    await until(async () => {
      await running.knowledge.reconcile();
      return (await attempts()) >= 2;
    });
    expect((await running.request(key, 'GET', `/documents/${id}`)).json.status).toBe('indexing');
    running.index.failure = null;
    await until(async () => {
      await running.knowledge.reconcile();
      return (await running.request(key, 'GET', `/documents/${id}`)).json.status === 'ready';
    });
  });

  test('a document whose work never comes to an end fails at last, with a reason', async () => {
    const { running, key } = await start();
    running.index.failure = new Error('the index is away');
    const { id } = (await running.request(key, 'POST', '/documents', { text: 'Hopeless.' })).json;
    await sql`update documents set attempts = 10 where id = ${id}`.execute(running.test.database.platform);
    const failed = await until(async () => {
      await running.knowledge.reconcile();
      const now = (await running.request(key, 'GET', `/documents/${id}`)).json;
      return now.status === 'failed' && now;
    });
    expect(failed.reason).toBe('gave_up');
    running.index.failure = null;
    const again = await running.request(key, 'POST', '/documents?wait=true', { text: 'Hopeless.' });
    expect(again.json).toMatchObject({ id, status: 'ready', version: 2 });
  });

  test('an old version that is still being read writes nothing once a newer one took over', async () => {
    const { running, key } = await start();
    const { id } = (await running.request(key, 'POST', '/documents', { text: 'SLOW first version' })).json;
    await until(async () => gate.reached);
    const second = await running.request(key, 'PUT', `/documents/${id}?wait=true`, {
      text: 'Second version',
    });
    expect(second.json).toMatchObject({ status: 'ready', version: 2, warnings: ['read by a test'] });
    gate.open();
    const done = async () =>
      (
        await running.test.database.platform.executeQuery<{ n: number }>(
          sql`select count(*)::int as n from dbos.workflow_status where status not in ('SUCCESS')`.compile(
            running.test.database.platform,
          ),
        )
      ).rows[0]?.n === 0;
    await until(done);
    const { rows } = await sql<{ version: number; text: string }>`
      select version, text from document_texts where document_id = ${id}`.execute(
      running.test.database.platform,
    );
    expect(rows).toEqual([{ version: 2, text: 'Second version' }]);
    const { rows: chunks } = await sql<{ version: number }>`select version from chunks`.execute(
      running.test.database.platform,
    );
    expect(chunks).toEqual([{ version: 2 }]);
  });
});
