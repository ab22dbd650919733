import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  addTenant,
  type BudgetsProcess,
  type BudgetsProcessOptions,
  gpt4o,
  gpt4oMini,
  principalOf,
  startBudgetsProcess,
  unknownModel,
} from '../../../test/harness/budgets.ts';
import { until } from '../../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createNotifications } from '../../platform/database/notifications.ts';
import { createLog } from '../../platform/log.ts';
import type { NewBudget } from './budgets.service.ts';

const usd = 1_000_000_000n;
/** Of gpt-4o. */
const perToken = 10_000n;

let test: TestDatabase;
let dataDir: string;
let principal: Principal;
let tenants = 0;
const running: BudgetsProcess[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-budgets-'));
  principal = principalOf(await addTenant(test.database, `t${++tenants}`));
});
afterEach(async () => {
  for (const process of running.splice(0)) await process.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(options: Partial<BudgetsProcessOptions> = {}): Promise<BudgetsProcess> {
  const process = await startBudgetsProcess({ database: test.database, dataDir, ...options });
  running.push(process);
  return process;
}
async function kill(process: BudgetsProcess): Promise<void> {
  running.splice(running.indexOf(process), 1);
  await process.kill();
}

const hard = (limitNanoUsd: bigint, given: Partial<NewBudget> = {}): NewBudget => ({
  scope: 'tenant',
  scopeId: null,
  period: 'month',
  limitNanoUsd,
  alertThresholdPercent: 80,
  hardLimit: true,
  onUnpriced: 'allow',
  ...given,
});

async function ledgerSum(): Promise<bigint> {
  const { rows } = await sql<{
    sum: bigint;
  }>`select coalesce(sum(cost_nano_usd), 0)::bigint as sum from ledger
    where tenant_id = ${principal.tenantId}`.execute(test.database.platform);
  return rows[0]?.sum ?? 0n;
}

async function lostCalls(): Promise<number> {
  const { rows } = await sql<{ count: bigint }>`select count(*) from ledger
    where tenant_id = ${principal.tenantId} and status = 'lost'`.execute(test.database.platform);
  return Number(rows[0]?.count ?? 0n);
}

/** What a budget's counter says, nothing being held. */
async function counted(process: BudgetsProcess, budgetId: string): Promise<bigint> {
  const [demand] = process.budgets.gate
    .demandsFor({ principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: process.now() }, 1n)
    .filter(({ counter }) => counter.includes(budgetId));
  if (!demand) throw new Error('the call falls under the budget');
  const [state] = await process.counters.peek(principal.tenantId, [demand]);
  return BigInt(demand.limit - (state?.remaining ?? 0));
}

/** A generator of its own, so that a failing case can be run again. */
function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A provider that answers when it is told to. */
function slowProvider() {
  const asked = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const answered = () => {
    asked.resolve();
    return end.promise;
  };
  return { answered, asked: asked.promise, end: end.resolve };
}

describe('a hard limit', () => {
  it.each([1, 2, 3])(
    'of a dollar is not passed by 500 calls at once of random size, and is used: seed %i',
    async (seed) => {
      const process = await start();
      const { budget } = await process.budgets.service.create(principal, hard(usd));
      const fraction = random(seed * 7_919);
      let [overReserved, most] = [0n, 0n];
      const calls = Array.from({ length: 500 }, () => {
        const outputTokens = Math.min(3_000, Math.ceil(-Math.log(1 - fraction()) * 400));
        const steps = 1 + Math.floor(fraction() * 40);
        return { outputTokens, steps };
      });
      const costs = await Promise.all(
        calls.map(({ outputTokens, steps }) => {
          const expected = process.budgets.outputSizes.expect(
            { tenantId: principal.tenantId, route: null, model: 'gpt-4o' },
            3_000,
          );
          const beyond = BigInt(Math.max(0, outputTokens - expected)) * perToken;
          overReserved += beyond;
          if (beyond > most) most = beyond;
          return process.call({
            principal,
            outputTokens,
            maxTokens: 3_000,
            answered: () => turns(steps),
          });
        }),
      );
      await process.costs.flush();
      const spent = await ledgerSum();
      expect(spent).toBe(
        costs.reduce((sum: bigint, cost) => sum + (typeof cost === 'bigint' ? cost : 0n), 0n),
      );
      expect(costs).toContain('refused');
      expect(spent).toBeLessThanOrEqual(usd + overReserved);
      expect(spent).toBeGreaterThanOrEqual((usd * 95n) / 100n);
      expect(await counted(process, budget.id)).toBe(spent);
    },
  );

  it('is never passed at all when callers bound what is written', async () => {
    const process = await start();
    await process.budgets.service.create(principal, hard(usd / 10n));
    const costs = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        process.call({
          principal,
          outputTokens: 50 + (i % 50),
          maxTokens: 100,
          answered: () => turns(i % 7),
        }),
      ),
    );
    await process.costs.flush();
    expect(await ledgerSum()).toBeLessThanOrEqual(usd / 10n);
    expect(await ledgerSum()).toBeGreaterThanOrEqual(usd / 10n - 100n * perToken);
    expect(costs).toContain('refused');
  });

  it('goes on where it was after a restart in the middle, and after a kill', async () => {
    let process = await start();
    const { budget } = await process.budgets.service.create(principal, hard(usd / 2n));
    const some = (count: number) =>
      Promise.all(
        Array.from({ length: count }, () =>
          process.call({ principal, outputTokens: 1_000, maxTokens: 1_000 }),
        ),
      );
    expect(await some(20)).not.toContain('refused');
    running.pop();
    await process.stop();
    process = await start();
    expect(await some(20)).not.toContain('refused');
    await kill(process);
    process = await start();
    expect((await some(20)).filter((cost) => cost !== 'refused')).toHaveLength(10);
    await process.costs.flush();
    expect(await ledgerSum()).toBe(usd / 2n);
    expect(await counted(process, budget.id)).toBe(usd / 2n);
  });

  it('counts a call once that began before the budget did, wherever establishing finds it', async () => {
    const process = await start();
    const slow = slowProvider();
    const early = process.call({ principal, outputTokens: 700, maxTokens: 1_000, answered: slow.answered });
    await process.call({ principal, outputTokens: 100, maxTokens: 100 });
    const { budget } = await process.budgets.service.create(principal, hard(usd));
    await process.call({ principal, outputTokens: 10, maxTokens: 10 });
    expect(await counted(process, budget.id)).toBe(110n * perToken);
    slow.end();
    await early;
    expect(await counted(process, budget.id)).toBe(810n * perToken);
    // Made known once more while rows are on their way.
    const demands = process.budgets.gate.demandsFor(
      { principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: new Date() },
      1n,
    );
    const again = process.budgets.gate.establish(
      principal,
      demands.map(({ counter }) => counter),
    );
    await Promise.all([
      again,
      ...Array.from({ length: 20 }, () => process.call({ principal, outputTokens: 10, maxTokens: 10 })),
    ]);
    await process.costs.flush();
    expect(await counted(process, budget.id)).toBe(await ledgerSum());
  });

  it('counts each row once that is recorded while the ledger is being read', async () => {
    const early = Array.from({ length: 3 }, () => slowProvider());
    const ended: Promise<unknown>[] = [];
    const end = async (which: number) => {
      early[which]?.end();
      await ended[which];
      await process.costs.flush();
    };
    // One row after the cut and in the ledger when it is summed, one after the sum, one when all is known.
    const process = await start({ aroundSum: { before: () => end(0), after: () => end(1) } });
    for (const [i, { answered }] of early.entries()) {
      ended.push(process.call({ principal, outputTokens: 10 ** (i + 1), maxTokens: 1_000, answered }));
    }
    await process.call({ principal, outputTokens: 5, maxTokens: 5 });
    const { budget } = await process.budgets.service.create(principal, hard(usd));
    await process.call({ principal, outputTokens: 1, maxTokens: 1 });
    expect(await counted(process, budget.id)).toBe(116n * perToken);
    await end(2);
    expect(await counted(process, budget.id)).toBe(1_116n * perToken);
    expect(await ledgerSum()).toBe(1_116n * perToken);
  });

  it('is what it was changed to with the next call', async () => {
    const process = await start();
    const { budget } = await process.budgets.service.create(principal, hard(1_000n * perToken));
    const spend = () => process.call({ principal, outputTokens: 600, maxTokens: 600 });
    expect(await spend()).toBe(600n * perToken);
    expect(await spend()).toBe('refused');
    await process.budgets.service.change(principal, budget.id, { limitNanoUsd: 1_200n * perToken });
    expect(await spend()).toBe(600n * perToken);
    await process.budgets.service.change(principal, budget.id, { hardLimit: false });
    expect(await spend()).toBe(600n * perToken);
    // What was spent while it was not hard counts when it is again.
    await process.budgets.service.change(principal, budget.id, {
      hardLimit: true,
      limitNanoUsd: 1_900n * perToken,
    });
    expect(await spend()).toBe('refused');
    expect(await counted(process, budget.id)).toBe(1_800n * perToken);
    await process.budgets.service.remove(principal, budget.id);
    expect(await spend()).toBe(600n * perToken);
  });

  it('starts anew with the period in the tenant’s time zone, and follows a change of it', async () => {
    let now = new Date('2026-03-28T22:59:00Z');
    let timeZone = 'Europe/Berlin';
    const clock = { ...systemClock, now: () => now };
    const process = await start({ clock, timeZoneOf: () => timeZone });
    const { budget } = await process.budgets.service.create(
      principal,
      hard(100n * perToken, { period: 'day' }),
    );
    const spend = () => process.call({ principal, outputTokens: 100, maxTokens: 100 });
    expect(await spend()).toBe(100n * perToken);
    expect(await spend()).toBe('refused');
    now = new Date('2026-03-28T23:00:00Z');
    expect(await spend()).toBe(100n * perToken);
    // This day has 23 hours.
    now = new Date('2026-03-29T21:59:59Z');
    expect(await spend()).toBe('refused');
    now = new Date('2026-03-29T22:00:00Z');
    expect(await spend()).toBe(100n * perToken);
    // In London it is the same day as that of the call before.
    timeZone = 'Europe/London';
    expect(await spend()).toBe('refused');
    const shown = await process.budgets.service.one(principalOf(principal.tenantId, {}, timeZone), budget.id);
    expect(new Date(shown.period.endMs).toISOString()).toBe('2026-03-29T23:00:00.000Z');
    now = new Date('2026-03-29T23:00:00Z');
    expect(await spend()).toBe(100n * perToken);
  });

  it('counts a call in the period in which it began', async () => {
    let now = new Date('2026-05-10T23:59:59Z');
    const process = await start({ clock: { ...systemClock, now: () => now } });
    const { budget } = await process.budgets.service.create(
      principal,
      hard(1_000n * perToken, { period: 'day' }),
    );
    const slow = slowProvider();
    const late = process.call({ principal, outputTokens: 700, maxTokens: 1_000, answered: slow.answered });
    await slow.asked;
    now = new Date('2026-05-11T00:00:01Z');
    await process.call({ principal, outputTokens: 5, maxTokens: 5 });
    slow.end();
    await late;
    expect(await counted(process, budget.id)).toBe(5n * perToken);
  });
});

describe('another process', () => {
  it('hears of a budget that is set, changed and deleted here', async () => {
    const notifications = createNotifications(test.url, systemClock, createLog('silent'));
    const otherDir = mkdtempSync(join(tmpdir(), 'gatehouse-budgets-'));
    const [here, there] = [
      await start(),
      await start({ dataDir: otherDir, subscribe: notifications.subscribe }),
    ];
    await notifications.start();
    const limits = () =>
      there.budgets.gate
        .demandsFor({ principal, promptId: null, tags: [], model: 'm', route: null, at: new Date() }, 1n)
        .map(({ limit }) => limit);
    const { budget } = await here.budgets.service.create(principal, hard(5n * usd));
    await until(async () => limits().includes(5_000_000_000));
    await here.budgets.service.change(principal, budget.id, { limitNanoUsd: 7n * usd });
    await until(async () => limits().includes(7_000_000_000));
    await here.budgets.service.change(principal, budget.id, { hardLimit: false });
    await until(async () => limits().length === 0);
    await here.budgets.service.change(principal, budget.id, { hardLimit: true });
    await until(async () => limits().length === 1);
    await here.budgets.service.remove(principal, budget.id);
    await until(async () => limits().length === 0);
    await notifications.stop();
    rmSync(otherDir, { recursive: true, force: true });
  });
});

describe('what a budget is of', () => {
  it('decides which calls count on it, and all at once must have room', async () => {
    const process = await start();
    const user = { ...principal, userId: '019aa0c2-0000-7000-8000-000000000001' };
    await sql`insert into users (id, tenant_id, email, role, created_at, updated_at) values
      (${user.userId}, ${principal.tenantId}, 'u@example.org', 'analyst', now(), now())`.execute(
      test.database.platform,
    );
    const make = (given: Partial<NewBudget>) =>
      process.budgets.service.create(principal, hard(usd, given)).then(({ budget }) => budget.id);
    const ids = {
      tenant: await make({}),
      user: await make({ scope: 'user', scopeId: user.userId }),
      prompt: await make({ scope: 'prompt', scopeId: 'greeting' }),
      model: await make({ scope: 'model', scopeId: 'gpt-4o-mini' }),
      route: await make({ scope: 'model', scopeId: 'fast' }),
      tag: await make({ scope: 'tag', scopeId: 'beta' }),
    };
    const call = { principal, outputTokens: 100, maxTokens: 100 };
    await process.call(call);
    await process.call({ ...call, principal: user });
    await process.call({ ...call, promptId: 'greeting', tags: ['beta', 'other'] });
    await process.call({ ...call, target: gpt4oMini, route: 'fast' });
    const full = 100n * perToken;
    const mini = 100n * 600n;
    const expected = {
      tenant: 3n * full + mini,
      user: full,
      prompt: full,
      model: mini,
      route: mini,
      tag: full,
    };
    for (const [name, id] of Object.entries(ids)) {
      const { spentNanoUsd, reservedNanoUsd } = await process.budgets.service.one(principal, id);
      expect([name, spentNanoUsd]).toEqual([name, expected[name as keyof typeof expected]]);
      // Nothing under way: what the counter says beyond the ledger would be counted twice.
      expect([name, reservedNanoUsd]).toEqual([name, 0n]);
      const [budget] = (await process.budgets.service.list(principal, { limit: 50, after: null })).filter(
        (state) => state.budget.id === id,
      );
      expect(budget?.spentNanoUsd).toBe(spentNanoUsd);
    }
    await process.budgets.service.change(principal, ids.tag, { limitNanoUsd: full });
    expect(await process.call({ ...call, tags: ['beta'] })).toBe('refused');
    expect(await process.call(call)).toBe(full);
  });

  it('finds nothing, and makes nothing, for a tenant without hard budgets', async () => {
    const process = await start();
    await process.budgets.service.create(principal, hard(usd, { hardLimit: false }));
    const spender = { principal, promptId: 'p', tags: ['a'], model: 'gpt-4o', route: 'r', at: new Date() };
    const demands = process.budgets.gate.demandsFor(spender, 5n);
    expect(demands).toHaveLength(0);
    expect(process.budgets.gate.demandsFor(spender, 6n)).toBe(demands);
  });
});

describe('a refusal', () => {
  it('says which budget, what is left of it and when it starts anew', async () => {
    const process = await start();
    const { budget } = await process.budgets.service.create(principal, hard(150n * perToken));
    await process.call({ principal, outputTokens: 100, maxTokens: 100 });
    const [demand] = process.budgets.gate.demandsFor(
      {
        principal,
        promptId: null,
        tags: [],
        model: 'gpt-4o',
        route: null,
        at: new Date('2026-11-20T00:00:00Z'),
      },
      100n * perToken,
    );
    if (!demand) throw new Error('the call falls under the budget');
    const refusal = process.budgets.gate.refusal(demand, { remaining: Number(50n * perToken), resetMs: 1 });
    expect(refusal.code).toBe('budget_exceeded');
    expect(refusal.extra).toEqual({
      budget: { id: budget.id, scope: 'tenant', scope_id: null, period: 'month' },
      limit_usd: '0.001500000',
      spent_usd: '0.001000000',
      left_usd: '0.000500000',
      resets_at: '2026-12-01T00:00:00.000Z',
    });
    expect(refusal.message).toContain('the budget of the tenant for the month');
  });

  it('is for models without a price only where the budget says so', async () => {
    const process = await start();
    const { budget } = await process.budgets.service.create(principal, hard(150n * perToken));
    const call = { principal, target: unknownModel, outputTokens: 100, maxTokens: 100 };
    expect(await process.call(call)).toBeNull();
    await process.budgets.service.change(principal, budget.id, { onUnpriced: 'refuse' });
    await expect(process.call(call)).rejects.toMatchObject({ code: 'budget_exceeded' });
    expect(await process.call({ ...call, target: gpt4oMini })).toBe(100n * 600n);
  });
});

describe('whatever happens', () => {
  it('the counters say what the ledger says, and a killed process loses nothing that was sent', async () => {
    let [lost, kills] = [0, 0];
    for (const seed of [11, 12, 13, 14, 15, 16]) {
      principal = principalOf(await addTenant(test.database, `s${seed}`));
      const fraction = random(seed * 104_729);
      let process = await start({ patienceMs: 0 });
      for (const given of [{}, { scope: 'model', scopeId: 'gpt-4o' }, { period: 'week' }] as const) {
        await process.budgets.service.create(principal, hard(5n * usd, given));
      }
      const demandsNow = () =>
        process.budgets.gate.demandsFor(
          { principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: new Date() },
          1n,
        );
      const establish = () =>
        process.budgets.gate.establish(
          principal,
          demandsNow().map(({ counter }) => counter),
        );
      let underWay: Promise<unknown>[] = [];
      for (let step = 0; step < 80; step++) {
        const what = fraction();
        if (what < 0.7) {
          const call = {
            principal,
            target: fraction() < 0.5 ? gpt4oMini : gpt4o,
            outputTokens: Math.floor(fraction() * 800),
            maxTokens: 1_000,
            answered: () => turns(Math.floor(fraction() * 60)),
          };
          underWay.push(process.call(call).catch(() => 'killed'));
        } else if (what < 0.85) {
          await turns(Math.floor(fraction() * 30));
        } else if (what < 0.92) {
          underWay.push(establish().catch(() => {}));
        } else {
          kills++;
          await kill(process);
          await Promise.allSettled(underWay);
          underWay = [];
          process = await start({ patienceMs: 0 });
        }
      }
      await Promise.all(underWay);
      await establish();
      for (const { budget, spentNanoUsd } of await process.budgets.service.list(principal, {
        limit: 50,
        after: null,
      })) {
        const demand = demandsNow().find(({ counter }) => counter.includes(budget.id));
        if (!demand) throw new Error('the call falls under the budget');
        const [state] = await process.counters.peek(principal.tenantId, [demand]);
        expect([seed, budget.scope, demand.limit - (state?.remaining ?? 0)]).toEqual([
          seed,
          budget.scope,
          Number(spentNanoUsd),
        ]);
        if (budget.scope === 'tenant') expect(spentNanoUsd).toBe(await ledgerSum());
      }
      lost += await lostCalls();
      running.pop();
      await process.stop();
    }
    expect(kills).toBeGreaterThan(10);
    expect(lost).toBeGreaterThan(10);
  });
});
