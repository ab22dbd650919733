import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

const nobody = { tenantId: '00000000-0000-7000-8000-000000000000', readerTokens: [] };

/** In the server's own words when they still arrive, else in those of the socket. */
const howItShows = /terminat|not queryable|EPIPE|ECONNRESET/i;

it('a connection that is lost between two statements fails its transaction and nothing else', async () => {
  const lost = db.database.inTenant(nobody, async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    await sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(db.database.platform);
    await untilGone(rows[0]?.pid);
    await sql`select 1`.execute(tx);
  });
  await expect(lost).rejects.toThrow(howItShows);
  await expect(db.database.inTenant(nobody, (tx) => sql`select 1 as one`.execute(tx))).resolves.toMatchObject(
    { rows: [{ one: 1 }] },
  );
});

it('a statement that is running when its connection is lost fails with the loss', async () => {
  const lost = db.database.platform.transaction().execute(async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    await Promise.all([
      sql`select pg_sleep(60)`.execute(tx),
      sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(db.database.platform),
    ]);
  });
  await expect(lost).rejects.toThrow(howItShows);
  await expect(db.database.ping()).resolves.toMatchObject({ version: expect.any(String) });
});

async function untilGone(pid: number | undefined): Promise<void> {
  for (;;) {
    const left = await sql`select 1 from pg_stat_activity where pid = ${pid}`.execute(db.database.platform);
    if (left.rows.length === 0) return;
  }
}
