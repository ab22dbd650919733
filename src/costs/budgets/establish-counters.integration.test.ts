import { describe, expect, it } from 'vitest';
import { gpt4o, gpt4oMini } from '../../../test/harness/budgets.ts';
import {
  budgetsSuite,
  hard,
  perToken,
  random,
  slowProvider,
  turns,
  usd,
} from '../../../test/harness/budgets-suite.ts';

const suite = budgetsSuite();

describe('a counter that is made known from the ledger', () => {
  it('counts a call once that began before the budget did, wherever establishing finds it', async () => {
    const process = await suite.start();
    const slow = slowProvider();
    const early = process.call({
      principal: suite.principal,
      outputTokens: 700,
      maxTokens: 1_000,
      answered: slow.answered,
    });
    await process.call({ principal: suite.principal, outputTokens: 100, maxTokens: 100 });
    const { budget } = await process.budgets.service.create(suite.principal, hard(usd));
    await process.call({ principal: suite.principal, outputTokens: 10, maxTokens: 10 });
    expect(await suite.counted(process, budget.id)).toBe(110n * perToken);
    slow.end();
    await early;
    expect(await suite.counted(process, budget.id)).toBe(810n * perToken);
    // Made known once more while rows are on their way.
    const demands = process.budgets.gate.demandsFor(
      { principal: suite.principal, promptId: null, tags: [], model: 'gpt-4o', route: null, at: new Date() },
      1n,
    );
    const again = process.budgets.gate.establish(
      suite.principal,
      demands.map(({ counter }) => counter),
    );
    await Promise.all([
      again,
      ...Array.from({ length: 20 }, () =>
        process.call({ principal: suite.principal, outputTokens: 10, maxTokens: 10 }),
      ),
    ]);
    await process.costs.flush();
    expect(await suite.counted(process, budget.id)).toBe(await suite.ledgerSum());
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
    const process = await suite.start({ aroundSum: { before: () => end(0), after: () => end(1) } });
    for (const [i, { answered }] of early.entries()) {
      ended.push(
        process.call({ principal: suite.principal, outputTokens: 10 ** (i + 1), maxTokens: 1_000, answered }),
      );
    }
    await process.call({ principal: suite.principal, outputTokens: 5, maxTokens: 5 });
    const { budget } = await process.budgets.service.create(suite.principal, hard(usd));
    await process.call({ principal: suite.principal, outputTokens: 1, maxTokens: 1 });
    expect(await suite.counted(process, budget.id)).toBe(116n * perToken);
    await end(2);
    expect(await suite.counted(process, budget.id)).toBe(1_116n * perToken);
    expect(await suite.ledgerSum()).toBe(1_116n * perToken);
  });

  it('the counters say what the ledger says, and a killed process loses nothing that was sent', async () => {
    let [lost, kills] = [0, 0];
    for (const seed of [11, 12, 13, 14, 15, 16]) {
      await suite.newTenant();
      const fraction = random(seed * 104_729);
      let process = await suite.start({ patienceMs: 0 });
      for (const given of [{}, { scope: 'model', scopeId: 'gpt-4o' }, { period: 'week' }] as const) {
        await process.budgets.service.create(suite.principal, hard(5n * usd, given));
      }
      const demandsNow = () =>
        process.budgets.gate.demandsFor(
          {
            principal: suite.principal,
            promptId: null,
            tags: [],
            model: 'gpt-4o',
            route: null,
            at: new Date(),
          },
          1n,
        );
      const establish = () =>
        process.budgets.gate.establish(
          suite.principal,
          demandsNow().map(({ counter }) => counter),
        );
      let underWay: Promise<unknown>[] = [];
      for (let step = 0; step < 80; step++) {
        const what = fraction();
        if (what < 0.7) {
          const call = {
            principal: suite.principal,
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
          await suite.kill(process);
          await Promise.allSettled(underWay);
          underWay = [];
          process = await suite.start({ patienceMs: 0 });
        }
      }
      await Promise.all(underWay);
      await establish();
      for (const { budget, spentNanoUsd } of await process.budgets.service.list(suite.principal, {
        limit: 50,
        after: null,
      })) {
        const demand = demandsNow().find(({ counter }) => counter.includes(budget.id));
        if (!demand) throw new Error('the call falls under the budget');
        const [state] = await process.counters.peek(suite.principal.tenantId, [demand]);
        expect([seed, budget.scope, demand.limit - (state?.remaining ?? 0)]).toEqual([
          seed,
          budget.scope,
          Number(spentNanoUsd),
        ]);
        if (budget.scope === 'tenant') expect(spentNanoUsd).toBe(await suite.ledgerSum());
      }
      lost += await suite.lostCalls();
      await suite.stop(process);
    }
    expect(kills).toBeGreaterThan(10);
    expect(lost).toBeGreaterThan(10);
  });
});
