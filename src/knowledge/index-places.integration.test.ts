import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { addTenant } from '../../test/harness/tenants.ts';
import { onlyPlace } from '../platform/place.ts';
import { createIndexFeed } from './index-feed.store.ts';
import { createIndexPlaces } from './index-places.store.ts';

let db: TestDatabase;
let tenantId: string;
beforeEach(async () => {
  db = await createTestDatabase();
  tenantId = randomUUID();
  await addTenant(db.database, tenantId, 'north');
});
afterEach(() => db.drop());

const change = (documentId: string, executor = db.database.platform) =>
  sql`insert into index_changes (tenant_id, document_id, change, created_at)
    values (${tenantId}, ${documentId}, 'upsert', now())`.execute(executor);
const told = async (place: string) =>
  (await createIndexFeed(db.database, place).takeIndexChanges(tenantId, 1_000)).map((one) => one.documentId);

it('every place is told of every change, and forgets for itself alone', async () => {
  const [a, b, document] = [randomUUID(), randomUUID(), randomUUID()];
  for (const place of [a, b]) {
    expect(await createIndexPlaces(db.database, place).register()).toMatchObject({
      index: 'new',
      firstPlace: a,
    });
  }
  await change(document);
  expect([await told(a), await told(b)]).toEqual([[document], [document]]);
  const feed = createIndexFeed(db.database, a);
  await feed.finishIndexChanges((await feed.takeIndexChanges(tenantId, 10)).map(({ id }) => id));
  expect([await told(a), await told(b)]).toEqual([[], [document]]);
  const places = createIndexPlaces(db.database, a);
  expect(await places.withoutChangesOf(document, [a, b])).toEqual([b]);
  expect(await createIndexPlaces(db.database, b).register()).toMatchObject({ index: 'known' });
  expect(await told(b)).toEqual([document]);
});

it('a change that is not committed yet when a place registers is told to it, or older than its first look', async () => {
  const documents: string[] = [];
  let registered: Promise<unknown> = Promise.resolve();
  const place = randomUUID();
  let looked: string[] = [];
  // Writers that are slow to commit, and in the midst of them a place that registers and then looks at what there is.
  const writers = Array.from({ length: 8 }, async (_, n) => {
    for (let i = 0; i < 10; i++) {
      const id = randomUUID();
      await db.database.platform.transaction().execute(async (tx) => {
        await sql`insert into loose_blobs (blob_key, tenant_id, removable_at) values (${id}, ${tenantId}, now())`.execute(
          tx,
        );
        await change(id, tx as never);
        await sql`select pg_sleep(${(n % 4) / 200})`.execute(tx);
      });
      documents.push(id);
      if (documents.length === 30) {
        registered = createIndexPlaces(db.database, place)
          .register()
          .then(async () => {
            const { rows } = await sql<{ key: string }>`select blob_key as key from loose_blobs`.execute(
              db.database.platform,
            );
            looked = rows.map((row) => row.key);
          });
      }
    }
  });
  await Promise.all(writers);
  await registered;
  const known = new Set([...looked, ...(await told(place))]);
  expect(documents.filter((id) => !known.has(id))).toEqual([]);
  expect((await told(place)).length).toBeGreaterThan(0);
  expect(looked.length).toBeGreaterThan(0);
});

it('the first place takes over what was there before places had names', async () => {
  const document = randomUUID();
  await change(document);
  await sql`insert into index_generations (tenant_id, number, state, created_at)
    values (${tenantId}, 3, 'active', now())`.execute(db.database.platform);
  expect(await told(onlyPlace)).toEqual([document]);
  const [a, b] = [randomUUID(), randomUUID()];
  expect(await createIndexPlaces(db.database, a).register()).toEqual({ index: 'known', firstPlace: a });
  expect(await createIndexPlaces(db.database, b).register()).toEqual({ index: 'new', firstPlace: a });
  expect([await told(a), await told(b), await told(onlyPlace)]).toEqual([[document], [], []]);
});

it('a place where nobody serves is forgotten after a day, and begins anew when it returns', async () => {
  const [a, gone, document] = [randomUUID(), randomUUID(), randomUUID()];
  const places = createIndexPlaces(db.database, a);
  await places.register();
  await createIndexPlaces(db.database, gone).register();
  await change(document);
  expect(await places.lookAfter()).toEqual([]);
  await sql`update index_places set seen_at = now() - interval '25 hours' where id = ${gone}`.execute(
    db.database.platform,
  );
  expect(await places.lookAfter()).toEqual([gone]);
  expect([await told(a), await told(gone)]).toEqual([[document], []]);
  expect(await createIndexPlaces(db.database, gone).register()).toMatchObject({ index: 'new' });
});

it('a caller writes no change for another tenant, though the copies are written by the platform', async () => {
  const place = randomUUID();
  await createIndexPlaces(db.database, place).register();
  const scope = { tenantId: randomUUID(), readerTokens: [] };
  await expect(db.database.inTenant(scope, (tx) => change(randomUUID(), tx as never))).rejects.toThrow(
    /row-level security/,
  );
  expect(await told(place)).toEqual([]);
});
