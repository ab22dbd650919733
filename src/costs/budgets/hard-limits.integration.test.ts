import { describe, expect, it } from 'vitest';
import { gpt4oMini, unknownModel } from '../../../test/harness/budgets.ts';
import { budgetsSuite, hard, perToken, random, turns, usd } from '../../../test/harness/budgets-suite.ts';

const suite = budgetsSuite();

describe('a hard limit', () => {
  it.each([1, 2, 3])(
    'of a dollar is not passed by 500 calls at once of random size, and is used: seed %i',
    async (seed) => {
      // Patient, because this machine may be busy.
      const process = await suite.start({ patienceMs: 60_000 });
      const { budget } = await process.budgets.service.create(suite.principal, hard(usd));
      const fraction = random(seed * 7_919);
      let overReserved = 0n;
      const calls = Array.from({ length: 500 }, () => {
        const outputTokens = Math.min(3_000, Math.ceil(-Math.log(1 - fraction()) * 400));
        const steps = 1 + Math.floor(fraction() * 40);
        return { outputTokens, steps };
      });
      const costs = await Promise.all(
        calls.map(({ outputTokens, steps }) => {
          const expected = process.budgets.outputSizes.expect(
            { tenantId: suite.principal.tenantId, route: null, model: 'gpt-4o' },
            3_000,
          );
          const beyond = BigInt(Math.max(0, outputTokens - expected)) * perToken;
          overReserved += beyond;
          return process.call({
            principal: suite.principal,
            outputTokens,
            maxTokens: 3_000,
            answered: () => turns(steps),
          });
        }),
      );
      await process.costs.flush();
      const spent = await suite.ledgerSum();
      expect(spent).toBe(
        costs.reduce((sum: bigint, cost) => sum + (typeof cost === 'bigint' ? cost : 0n), 0n),
      );
      expect(costs).toContain('refused');
      expect(spent).toBeLessThanOrEqual(usd + overReserved);
      expect(spent).toBeGreaterThanOrEqual((usd * 95n) / 100n);
      expect(await suite.counted(process, budget.id)).toBe(spent);
    },
  );

  it('is never passed at all when callers bound what is written', async () => {
    const process = await suite.start();
    await process.budgets.service.create(suite.principal, hard(usd / 10n));
    const costs = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        process.call({
          principal: suite.principal,
          outputTokens: 50 + (i % 50),
          maxTokens: 100,
          answered: () => turns(i % 7),
        }),
      ),
    );
    await process.costs.flush();
    expect(await suite.ledgerSum()).toBeLessThanOrEqual(usd / 10n);
    expect(await suite.ledgerSum()).toBeGreaterThanOrEqual(usd / 10n - 100n * perToken);
    expect(costs).toContain('refused');
  });

  it('goes on where it was after a restart in the middle, and after a kill', async () => {
    let process = await suite.start();
    const { budget } = await process.budgets.service.create(suite.principal, hard(usd / 2n));
    const some = (count: number) =>
      Promise.all(
        Array.from({ length: count }, () =>
          process.call({ principal: suite.principal, outputTokens: 1_000, maxTokens: 1_000 }),
        ),
      );
    expect(await some(20)).not.toContain('refused');
    await suite.stop(process);
    process = await suite.start();
    expect(await some(20)).not.toContain('refused');
    await suite.kill(process);
    process = await suite.start();
    expect((await some(20)).filter((cost) => cost !== 'refused')).toHaveLength(10);
    await process.costs.flush();
    expect(await suite.ledgerSum()).toBe(usd / 2n);
    expect(await suite.counted(process, budget.id)).toBe(usd / 2n);
  });

  it('is what it was changed to with the next call', async () => {
    const process = await suite.start();
    const { budget } = await process.budgets.service.create(suite.principal, hard(1_000n * perToken));
    const spend = () => process.call({ principal: suite.principal, outputTokens: 600, maxTokens: 600 });
    expect(await spend()).toBe(600n * perToken);
    expect(await spend()).toBe('refused');
    await process.budgets.service.change(suite.principal, budget.id, { limitNanoUsd: 1_200n * perToken });
    expect(await spend()).toBe(600n * perToken);
    await process.budgets.service.change(suite.principal, budget.id, { hardLimit: false });
    expect(await spend()).toBe(600n * perToken);
    // What was spent while it was not hard counts when it is again.
    await process.budgets.service.change(suite.principal, budget.id, {
      hardLimit: true,
      limitNanoUsd: 1_900n * perToken,
    });
    expect(await spend()).toBe('refused');
    expect(await suite.counted(process, budget.id)).toBe(1_800n * perToken);
    await process.budgets.service.remove(suite.principal, budget.id);
    expect(await spend()).toBe(600n * perToken);
  });
});

describe('a refusal', () => {
  it('says which budget, what is left of it and when it starts anew', async () => {
    const process = await suite.start();
    const { budget } = await process.budgets.service.create(suite.principal, hard(150n * perToken));
    await process.call({ principal: suite.principal, outputTokens: 100, maxTokens: 100 });
    const [demand] = process.budgets.gate.demandsFor(
      {
        principal: suite.principal,
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
    const process = await suite.start();
    const { budget } = await process.budgets.service.create(suite.principal, hard(150n * perToken));
    const call = { principal: suite.principal, target: unknownModel, outputTokens: 100, maxTokens: 100 };
    expect(await process.call(call)).toBeNull();
    await process.budgets.service.change(suite.principal, budget.id, { onUnpriced: 'refuse' });
    await expect(process.call(call)).rejects.toMatchObject({ code: 'budget_exceeded' });
    expect(await process.call({ ...call, target: gpt4oMini })).toBe(100n * 600n);
  });
});
