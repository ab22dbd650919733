import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  addTenant,
  type BudgetsProcess,
  gpt4o,
  principalOf,
  startBudgetsProcess,
} from '../../../test/harness/budgets.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../../test/harness/redis.ts';
import { type CountersInstance, startCounters } from '../../../test/harness/redis-counters.ts';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createIds } from '../../platform/ids.ts';
import { systemRandom } from '../../platform/random.ts';

const newId = createIds(systemClock, systemRandom);
const usd = 1_000_000_000n;
/** Of gpt-4o. */
const perToken = 10_000n;

interface Instance {
  readonly id: string;
  readonly process: BudgetsProcess;
  readonly shared: CountersInstance;
}

let test: TestDatabase;
let redis: TestRedis;
let directory: string;
let principal: Principal;
let live: string[] = [];
let instances: Instance[] = [];
let tenants = 0;

if (!redisIsInstalled) console.warn(redisMissing);

beforeAll(async () => {
  test = await createTestDatabase();
  if (redisIsInstalled) redis = await startRedis();
});
afterAll(async () => {
  await redis?.stop();
  await test.drop();
});
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-shared-budgets-'));
  principal = principalOf(await addTenant(test.database, `shared${++tenants}`));
});
afterEach(async () => {
  for (const { process, shared } of instances) {
    await process.stop();
    await shared.stop();
  }
  instances = [];
  live = [];
  rmSync(directory, { recursive: true, force: true });
});

/** @param place names its data directory, so that another one can start on it. */
async function start(place: string, patienceMs?: number): Promise<Instance> {
  const id = newId();
  const shared = await startCounters(redis.url, id);
  live = [...live, id];
  const process = await startBudgetsProcess({
    database: test.database,
    dataDir: join(directory, place),
    id,
    counters: shared.counters,
    onWanted: shared.counters.onWanted,
    liveWriters: () => live,
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });
  const instance = { id, process, shared };
  instances.push(instance);
  return instance;
}

async function kill(instance: Instance): Promise<void> {
  instances = instances.filter((other) => other !== instance);
  await instance.process.kill();
  await instance.shared.kill();
  live = live.filter((id) => id !== instance.id);
}

async function makeBudget(limitNanoUsd: bigint): Promise<string> {
  const [first] = instances;
  if (!first) throw new Error('no instance runs');
  const { budget } = await first.process.budgets.service.create(principal, {
    scope: 'tenant',
    scopeId: null,
    period: 'month',
    limitNanoUsd,
    alertThresholdPercent: 80,
    hardLimit: true,
    onUnpriced: 'allow',
  });
  // As the notification tells the others.
  for (const { process } of instances) await process.budgets.service.change(principal, budget.id, {});
  return budget.id;
}

async function ledgerSum(): Promise<bigint> {
  for (const { process } of instances) await process.costs.flush();
  const { rows } = await sql<{
    sum: bigint;
  }>`select coalesce(sum(cost_nano_usd), 0)::bigint as sum from ledger
    where tenant_id = ${principal.tenantId}`.execute(test.database.platform);
  return rows[0]?.sum ?? 0n;
}

/** What the counter says to one of them, once what was settled has arrived; nothing is under way. */
async function countedBy({ process }: Instance, expected: bigint): Promise<void> {
  const [demand] = process.budgets.gate.demandsFor(
    { principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: new Date() },
    1n,
  );
  if (!demand) throw new Error('the call falls under the budget');
  await process.budgets.gate.establish(principal, [demand.counter]);
  let counted = -1n;
  for (let looks = 0; counted !== expected && looks < 200; looks++) {
    const [state] = await process.counters.peek(principal.tenantId, [demand]);
    counted = BigInt(demand.limit - (state?.remaining ?? 0));
    if (counted !== expected) await systemClock.sleep(20);
  }
  expect(counted).toBe(expected);
}

const exactCall = (tokens: number) => ({ principal, outputTokens: tokens, maxTokens: tokens });

describe.skipIf(!redisIsInstalled)('a hard limit over two processes', () => {
  it('of a dollar is not passed by 500 calls at once, and is used', async () => {
    // Patient, because this machine may be busy.
    const [one, two] = [await start('one', 60_000), await start('two', 60_000)];
    await makeBudget(usd);
    let seed = 12_345;
    const fraction = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const calls = Array.from({ length: 500 }, (_, i) => {
      const outputTokens = Math.min(2_000, Math.ceil(-Math.log(1 - fraction()) * 400));
      const pause = fraction() * 30;
      return (i % 2 === 0 ? one : two).process.call({
        principal,
        outputTokens,
        maxTokens: 2_000,
        answered: () => systemClock.sleep(pause),
      });
    });
    const costs = await Promise.all(calls);
    const spent = await ledgerSum();
    expect(costs).toContain('refused');
    // Every answer was bounded by what was reserved for it.
    expect(spent).toBeLessThanOrEqual(usd);
    expect(spent).toBeGreaterThanOrEqual((usd * 95n) / 100n);
    await countedBy(one, spent);
    await countedBy(two, spent);
  });

  it('stands when one is killed in the middle: what it held counts until its successor has it in the books', async () => {
    const [one, two] = [await start('one', 0), await start('two', 0)];
    await makeBudget(100n * perToken);
    expect(await one.process.call(exactCall(20))).toBe(20n * perToken);
    const asked = Promise.withResolvers<void>();
    const never = two.process.call({
      ...exactCall(50),
      answered: () => {
        asked.resolve();
        return new Promise(() => {});
      },
    });
    await asked.promise;
    void never;
    await kill(two);
    expect(await one.process.call(exactCall(31))).toBe('refused');
    const successor = await start('two', 0);
    // The call that nobody saw the end of is charged as reserved.
    expect(await ledgerSum()).toBe(70n * perToken);
    await countedBy(successor, 70n * perToken);
    await countedBy(one, 70n * perToken);
    expect(await one.process.call(exactCall(31))).toBe('refused');
    expect(await successor.process.call(exactCall(30))).toBe(30n * perToken);
    expect(await one.process.call(exactCall(1))).toBe('refused');
    expect(await ledgerSum()).toBe(100n * perToken);
  });

  it('stands when Redis lost its memory: each tells what it spent, and the ledger the rest', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await makeBudget(1_000n * perToken);
    const gone = await start('three');
    await gone.process.budgets.service.list(principal, { limit: 1, after: null });
    for (const instance of [one, two, gone]) {
      for (let i = 0; i < 5; i++) expect(await instance.process.call(exactCall(40))).toBe(40n * perToken);
    }
    await gone.process.costs.flush();
    await kill(gone);
    await redis.kill();
    await redis.startAgain();
    // Fail closed until it is known again, and then as it was.
    let cost: unknown = null;
    for (let i = 0; i < 200 && cost !== 390n * perToken; i++) {
      cost = await one.process.call(exactCall(390)).catch((error) => error.code);
      if (cost !== 390n * perToken) await systemClock.sleep(50);
    }
    expect(cost).toBe(390n * perToken);
    expect(await two.process.call(exactCall(11))).toBe('refused');
    expect(await two.process.call({ ...exactCall(10), target: gpt4o })).toBe(10n * perToken);
    expect(await ledgerSum()).toBe(1_000n * perToken);
    await countedBy(one, 1_000n * perToken);
    await countedBy(two, 1_000n * perToken);
  });
});
