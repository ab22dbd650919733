import type { Log } from '../../platform/log.ts';
import type { BudgetsStore } from './budgets.store.ts';
import { type HardBudget, HardBudgets } from './hard-budgets.ts';
import type { Periods } from './period.ts';

/** Hard budgets in memory, so that a call finds its own without asking anybody. Changes arrive by notification. */
export interface BudgetSnapshot {
  /** Undefined: the tenant has none. */
  of(tenantId: string): HardBudgets | undefined;
  find(budgetId: string): HardBudget | undefined;
  tenants(): readonly string[];
  /** Reads one tenant's anew. */
  refresh(tenantId: string): Promise<void>;
  reload(): Promise<void>;
}

export function createBudgetSnapshot(
  store: Pick<BudgetsStore, 'hard'>,
  periods: Periods,
  log: Log,
): BudgetSnapshot {
  let byTenant = new Map<string, HardBudgets>();
  const byId = new Map<string, HardBudget>();
  // What was read earlier must not be put in place of what was read later, so reading is one after another.
  let last: Promise<void> = Promise.resolve();
  const inOrder = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work);
    last = done.catch((error) => log.warn({ err: error }, 'budgets could not be read again'));
    return done;
  };

  const put = (
    tenants: Map<string, HardBudgets>,
    tenantId: string,
    budgets: HardBudgets | undefined,
  ): void => {
    for (const { budget } of tenants.get(tenantId)?.all ?? []) byId.delete(budget.id);
    if (budgets === undefined) tenants.delete(tenantId);
    else tenants.set(tenantId, budgets);
    for (const budget of budgets?.all ?? []) byId.set(budget.budget.id, budget);
  };

  return {
    of: (tenantId) => byTenant.get(tenantId),
    find: (budgetId) => byId.get(budgetId),
    tenants: () => [...byTenant.keys()],
    refresh: (tenantId) =>
      inOrder(async () => {
        const budgets = await store.hard(tenantId);
        put(byTenant, tenantId, budgets.length === 0 ? undefined : new HardBudgets(budgets, periods));
      }),
    reload: () =>
      inOrder(async () => {
        const all = Map.groupBy(await store.hard(), ({ tenantId }) => tenantId);
        const fresh = new Map<string, HardBudgets>();
        byId.clear();
        for (const [tenantId, budgets] of all) put(fresh, tenantId, new HardBudgets(budgets, periods));
        byTenant = fresh;
      }),
  };
}
