import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Principal } from '../../src/access/index.ts';
import type { NewBudget } from '../../src/costs/budgets/budgets.service.ts';
import {
  addTenant,
  type BudgetsProcess,
  type BudgetsProcessOptions,
  principalOf,
  startBudgetsProcess,
} from './budgets.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';

export const usd = 1_000_000_000n;
/** Of gpt-4o, for a token that is written. */
export const perToken = 10_000n;

/** A tenant and a data directory for each test, on one database for the file; processes that a test leaves are stopped. */
export function budgetsSuite() {
  let test: TestDatabase;
  let dataDir: string;
  let principal: Principal;
  let tenants = 0;
  const running: BudgetsProcess[] = [];

  const newTenant = async (): Promise<Principal> => {
    principal = principalOf(await addTenant(test.database, `t${++tenants}`));
    return principal;
  };

  beforeAll(async () => {
    test = await createTestDatabase();
  });
  afterAll(() => test.drop());
  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-budgets-'));
    await newTenant();
  });
  afterEach(async () => {
    for (const process of running.splice(0)) await process.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const end = (process: BudgetsProcess) => running.splice(running.indexOf(process), 1);

  return {
    get test() {
      return test;
    },
    /** Of the tenant at hand. */
    get principal() {
      return principal;
    },
    newTenant,
    async start(options: Partial<BudgetsProcessOptions> = {}): Promise<BudgetsProcess> {
      const process = await startBudgetsProcess({ database: test.database, dataDir, ...options });
      running.push(process);
      return process;
    },
    async kill(process: BudgetsProcess): Promise<void> {
      end(process);
      await process.kill();
    },
    async stop(process: BudgetsProcess): Promise<void> {
      end(process);
      await process.stop();
    },
    async ledgerSum(): Promise<bigint> {
      const { rows } = await sql<{
        sum: bigint;
      }>`select coalesce(sum(cost_nano_usd), 0)::bigint as sum from ledger
        where tenant_id = ${principal.tenantId}`.execute(test.database.platform);
      return rows[0]?.sum ?? 0n;
    },
    async lostCalls(): Promise<number> {
      const { rows } = await sql<{ count: bigint }>`select count(*) from ledger
        where tenant_id = ${principal.tenantId} and status = 'lost'`.execute(test.database.platform);
      return Number(rows[0]?.count ?? 0n);
    },
    /** What a budget's counter says, nothing being held. */
    async counted(process: BudgetsProcess, budgetId: string): Promise<bigint> {
      const [demand] = process.budgets.gate
        .demandsFor(
          { principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: process.now() },
          1n,
        )
        .filter(({ counter }) => counter.includes(budgetId));
      if (!demand) throw new Error('the call falls under the budget');
      const [state] = await process.counters.peek(principal.tenantId, [demand]);
      return BigInt(demand.limit - (state?.remaining ?? 0));
    },
  };
}

export const hard = (limitNanoUsd: bigint, given: Partial<NewBudget> = {}): NewBudget => ({
  scope: 'tenant',
  scopeId: null,
  period: 'month',
  limitNanoUsd,
  alertThresholdPercent: 80,
  hardLimit: true,
  onUnpriced: 'allow',
  ...given,
});

/** A generator of its own, so that a failing case can be run again. */
export function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A provider that answers when it is told to. */
export function slowProvider() {
  const asked = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const answered = () => {
    asked.resolve();
    return end.promise;
  };
  return { answered, asked: asked.promise, end: end.resolve };
}
