import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { gpt4oMini, principalOf } from '../../../test/harness/budgets.ts';
import { budgetsSuite, hard, perToken, slowProvider, usd } from '../../../test/harness/budgets-suite.ts';
import { until } from '../../../test/harness/child.ts';
import { systemClock } from '../../platform/clock.ts';
import { createNotifications } from '../../platform/database/notifications.ts';
import { createLog } from '../../platform/log.ts';
import type { NewBudget } from './budgets.service.ts';

const suite = budgetsSuite();

describe('what a budget is of', () => {
  it('decides which calls count on it, and all at once must have room', async () => {
    const process = await suite.start();
    const user = { ...suite.principal, userId: '019aa0c2-0000-7000-8000-000000000001' };
    await sql`insert into users (id, tenant_id, email, role, created_at, updated_at) values
      (${user.userId}, ${suite.principal.tenantId}, 'u@example.org', 'analyst', now(), now())`.execute(
      suite.test.database.platform,
    );
    const make = (given: Partial<NewBudget>) =>
      process.budgets.service.create(suite.principal, hard(usd, given)).then(({ budget }) => budget.id);
    const ids = {
      tenant: await make({}),
      user: await make({ scope: 'user', scopeId: user.userId }),
      prompt: await make({ scope: 'prompt', scopeId: 'greeting' }),
      model: await make({ scope: 'model', scopeId: 'gpt-4o-mini' }),
      route: await make({ scope: 'model', scopeId: 'fast' }),
      tag: await make({ scope: 'tag', scopeId: 'beta' }),
    };
    const call = { principal: suite.principal, outputTokens: 100, maxTokens: 100 };
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
      const { spentNanoUsd, reservedNanoUsd } = await process.budgets.service.one(suite.principal, id);
      expect([name, spentNanoUsd]).toEqual([name, expected[name as keyof typeof expected]]);
      // Nothing under way: what the counter says beyond the ledger would be counted twice.
      expect([name, reservedNanoUsd]).toEqual([name, 0n]);
      const [budget] = (
        await process.budgets.service.list(suite.principal, { limit: 50, after: null })
      ).filter((state) => state.budget.id === id);
      expect(budget?.spentNanoUsd).toBe(spentNanoUsd);
    }
    await process.budgets.service.change(suite.principal, ids.tag, { limitNanoUsd: full });
    expect(await process.call({ ...call, tags: ['beta'] })).toBe('refused');
    expect(await process.call(call)).toBe(full);
  });

  it('finds nothing, and makes nothing, for a tenant without hard budgets', async () => {
    const process = await suite.start();
    await process.budgets.service.create(suite.principal, hard(usd, { hardLimit: false }));
    const spender = {
      principal: suite.principal,
      promptId: 'p',
      tags: ['a'],
      model: 'gpt-4o',
      route: 'r',
      at: new Date(),
    };
    const demands = process.budgets.gate.demandsFor(spender, 5n);
    expect(demands).toHaveLength(0);
    expect(process.budgets.gate.demandsFor(spender, 6n)).toBe(demands);
  });
});

describe('a period', () => {
  it('starts anew with the period in the tenant’s time zone, and follows a change of it', async () => {
    let now = new Date('2026-03-28T22:59:00Z');
    let timeZone = 'Europe/Berlin';
    const clock = { ...systemClock, now: () => now };
    const process = await suite.start({ clock, timeZoneOf: () => timeZone });
    const { budget } = await process.budgets.service.create(
      suite.principal,
      hard(100n * perToken, { period: 'day' }),
    );
    const spend = () => process.call({ principal: suite.principal, outputTokens: 100, maxTokens: 100 });
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
    const shown = await process.budgets.service.one(
      principalOf(suite.principal.tenantId, {}, timeZone),
      budget.id,
    );
    expect(new Date(shown.period.endMs).toISOString()).toBe('2026-03-29T23:00:00.000Z');
    now = new Date('2026-03-29T23:00:00Z');
    expect(await spend()).toBe(100n * perToken);
  });

  it('counts a call in the period in which it began', async () => {
    let now = new Date('2026-05-10T23:59:59Z');
    const process = await suite.start({ clock: { ...systemClock, now: () => now } });
    const { budget } = await process.budgets.service.create(
      suite.principal,
      hard(1_000n * perToken, { period: 'day' }),
    );
    const slow = slowProvider();
    const late = process.call({
      principal: suite.principal,
      outputTokens: 700,
      maxTokens: 1_000,
      answered: slow.answered,
    });
    await slow.asked;
    now = new Date('2026-05-11T00:00:01Z');
    await process.call({ principal: suite.principal, outputTokens: 5, maxTokens: 5 });
    slow.end();
    await late;
    expect(await suite.counted(process, budget.id)).toBe(5n * perToken);
  });
});

describe('another process', () => {
  it('hears of a budget that is set, changed and deleted here', async () => {
    const notifications = createNotifications(suite.test.url, systemClock, createLog('silent'));
    const otherDir = mkdtempSync(join(tmpdir(), 'gatehouse-budgets-'));
    const [here, there] = [
      await suite.start(),
      await suite.start({ dataDir: otherDir, subscribe: notifications.subscribe }),
    ];
    await notifications.start();
    const limits = () =>
      there.budgets.gate
        .demandsFor(
          { principal: suite.principal, promptId: null, tags: [], model: 'm', route: null, at: new Date() },
          1n,
        )
        .map(({ limit }) => limit);
    const { budget } = await here.budgets.service.create(suite.principal, hard(5n * usd));
    await until(async () => limits().includes(5_000_000_000));
    await here.budgets.service.change(suite.principal, budget.id, { limitNanoUsd: 7n * usd });
    await until(async () => limits().includes(7_000_000_000));
    await here.budgets.service.change(suite.principal, budget.id, { hardLimit: false });
    await until(async () => limits().length === 0);
    await here.budgets.service.change(suite.principal, budget.id, { hardLimit: true });
    await until(async () => limits().length === 1);
    await here.budgets.service.remove(suite.principal, budget.id);
    await until(async () => limits().length === 0);
    await notifications.stop();
    rmSync(otherDir, { recursive: true, force: true });
  });
});
