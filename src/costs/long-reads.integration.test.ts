import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { addTenant } from '../../test/harness/tenants.ts';
import { systemClock } from '../platform/clock.ts';
import { createDatabase, type Database } from '../platform/database/database.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import type { Budget } from './budgets/budget.ts';
import { createBudgetsStore } from './budgets/budgets.store.ts';
import { createInvoicesStore } from './invoices/invoices.store.ts';

const newId = createIds(systemClock, systemRandom);
const statementTimeoutMs = 100;
let test: TestDatabase;
let hasty: Database;
let keeper: pg.Client;

beforeAll(async () => {
  test = await createTestDatabase();
  hasty = createDatabase({
    url: test.url,
    pool: { min: 0, max: 4 },
    statementTimeoutMs,
    log: createLog('silent'),
    nowMs: () => performance.now(),
  });
  keeper = new pg.Client({ connectionString: test.url });
  await keeper.connect();
});
afterAll(async () => {
  await keeper.end();
  await hasty.stop();
  await test.drop();
});

it('a ledger so large that its sum takes longer than a statement may is summed for budgets and invoices', async () => {
  const tenantId = newId();
  await addTenant(test.database, tenantId, 'large');
  const start = new Date('2026-11-01T00:00:00Z');
  const end = new Date('2026-12-01T00:00:00Z');
  // A reader that waits is one that takes long.
  await keeper.query('begin; lock table ledger in access exclusive mode');
  const budget = { tenantId, scope: 'tenant', scopeId: null } as unknown as Budget;
  const period = { startMs: start.getTime(), endMs: end.getTime() };
  const spent = createBudgetsStore(hasty).spentByWriters(budget, period, {
    own: newId(),
    upTo: 0,
    living: [newId()],
  });
  const draft = createInvoicesStore(hasty).draft(
    { tenantId, readerTokens: [] },
    { label: '2026-11', start, end },
  );
  const both = Promise.all([spent, draft]);
  const overdue = async () => {
    const { rows } = await sql<{ count: bigint }>`select count(*) as count from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'
        and clock_timestamp() - query_start > ${`${5 * statementTimeoutMs} ms`}::interval`.execute(
      test.database.platform,
    );
    return rows[0]?.count;
  };
  await Promise.race([both, expect.poll(overdue, { timeout: 20_000 }).toBe(2n)]);
  await keeper.query('commit');
  expect(await both).toMatchObject([{ own: 0n, base: 0n }, { totalCents: 0n }]);
});
