import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import type { Tx } from './database.ts';

let test: TestDatabase;
const acme = { tenantId: '00000000-0000-7000-8000-000000000001', readerTokens: [] };
const other = { tenantId: '00000000-0000-7000-8000-000000000002', readerTokens: [] };

beforeAll(async () => {
  test = await createTestDatabase();
  const { platform } = test.database;
  await sql`create table joined_rows (tenant_id uuid not null, name text primary key)`.execute(platform);
  await sql`call protect_tenant_table('joined_rows', 'SELECT, INSERT')`.execute(platform);
});
beforeEach(async () => {
  await sql`delete from joined_rows`.execute(test.database.platform);
});
afterAll(() => test.drop());

const add = (tx: Tx | TestDatabase['database']['platform'], tenant: string, name: string) =>
  sql`insert into joined_rows values (${tenant}::uuid, ${name})`.execute(tx);
const names = async (tx: Tx | TestDatabase['database']['platform'] = test.database.platform) =>
  (await sql<{ name: string }>`select name from joined_rows order by name`.execute(tx)).rows.map(
    (r) => r.name,
  );
const addAs = (scope: typeof acme, name: string) =>
  test.database.inTenant(scope, (tx) => add(tx, scope.tenantId, name));

describe('a joined transaction', () => {
  it('holds what both roles do in it: nothing is seen from outside before it is committed, and then all', async () => {
    const { database } = test;
    const joined = await database.begin();
    await joined.run(async () => {
      await addAs(acme, 'a');
      await add(database.platform, other.tenantId, 'b');
      await database.platform.transaction().execute((tx) => add(tx, other.tenantId, 'c'));
      expect(await names()).toEqual(['a', 'b', 'c']);
      expect(await database.inTenant(acme, names)).toEqual(['a']);
      expect(await database.inTenant(other, names)).toEqual(['b', 'c']);
      expect(await database.apart(() => names())).toEqual([]);
    });
    expect(await names()).toEqual([]);
    await joined.commit();
    expect(await names()).toEqual(['a', 'b', 'c']);
  });

  it('leaves nothing when it is rolled back; what comes later in it is by itself', async () => {
    const { database } = test;
    const joined = await database.begin();
    await joined.run(async () => {
      await addAs(acme, 'lost');
      await database.apart(() => addAs(acme, 'apart'));
      await joined.rollback();
      await addAs(acme, 'later');
    });
    expect(await names()).toEqual(['apart', 'later']);
  });

  it('goes on after a part of it has failed, without that part', async () => {
    const { database } = test;
    const joined = await database.begin();
    await joined.run(async () => {
      await addAs(acme, 'first');
      await expect(addAs(acme, 'first')).rejects.toMatchObject({ code: '23505' });
      await expect(add(database.platform, acme.tenantId, 'first')).rejects.toMatchObject({ code: '23505' });
      await expect(
        database.inTenant(acme, async (tx) => {
          await add(tx, acme.tenantId, 'undone');
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      await expect(
        database.platform.transaction().execute(async (tx) => {
          await add(tx, acme.tenantId, 'undone, too');
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      // Whose turn it is decides what is let through, also after a failure.
      await expect(database.inTenant(acme, (tx) => add(tx, other.tenantId, 'foreign'))).rejects.toMatchObject(
        {
          code: '42501',
        },
      );
      await addAs(acme, 'second');
    });
    await joined.commit();
    expect(await names()).toEqual(['first', 'second']);
  });

  it('lets a transaction be made within another, and the outer one be used in it', async () => {
    const { database } = test;
    const joined = await database.begin();
    await joined.run(() =>
      database.inTenant(acme, async (outer) => {
        await add(outer, acme.tenantId, 'outer');
        await database.inTenant(other, async (inner) => {
          await add(inner, other.tenantId, 'inner');
          expect(await names(inner)).toEqual(['inner']);
          expect(await names(outer)).toEqual(['outer']);
          expect(await names()).toEqual(['inner', 'outer']);
        });
        expect(await names(outer)).toEqual(['outer']);
      }),
    );
    await joined.commit();
    expect(await names()).toEqual(['inner', 'outer']);
  });

  it('keeps what succeeded and nothing of what failed, each under its own tenant, however they overlap', async () => {
    const { database } = test;
    const piece = fc.record({
      as: fc.constantFrom('acme' as const, 'other' as const, 'platform' as const),
      statements: fc.integer({ min: 1, max: 3 }),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        async (pieces, keep) => {
          await sql`delete from joined_rows`.execute(database.platform);
          const joined = await database.begin();
          await joined.run(() =>
            Promise.allSettled(
              pieces.map(({ as, statements, fails }, i) => {
                const scope = as === 'other' ? other : acme;
                const work = async (tx: Tx) => {
                  for (let n = 0; n < statements; n++) await add(tx, scope.tenantId, `${i}.${n}`);
                  if (as !== 'platform') {
                    const { rows } =
                      await sql`select from joined_rows where tenant_id <> ${scope.tenantId}`.execute(tx);
                    if (rows.length > 0) throw new Error("another tenant's rows are seen");
                  }
                  if (fails) throw new Error('no');
                };
                return as === 'platform'
                  ? database.platform.transaction().execute(work)
                  : database.inTenant(scope, work);
              }),
            ),
          );
          await (keep ? joined.commit() : joined.rollback());
          const expected = keep
            ? pieces.flatMap(({ statements, fails }, i) =>
                fails ? [] : Array.from({ length: statements }, (_, n) => `${i}.${n}`),
              )
            : [];
          expect(await names()).toEqual(expected);
        },
      ),
      { numRuns: 40 },
    );
  });
});
