import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import { type Budget, maxBudgets, whose } from './budget.ts';
import type { BudgetChange, BudgetsStore } from './budgets.store.ts';
import type { Period, Periods } from './period.ts';
import { faultOfScopeId } from './scope-id.ts';

export type NewBudget = Pick<
  Budget,
  'scope' | 'scopeId' | 'period' | 'limitNanoUsd' | 'alertThresholdPercent' | 'hardLimit' | 'onUnpriced'
>;

/** A budget and how it stands in the current period. */
export interface BudgetState {
  readonly budget: Budget;
  readonly period: Period;
  readonly spentNanoUsd: bigint;
  /** For calls under way. */
  readonly reservedNanoUsd: bigint;
  readonly leftNanoUsd: bigint;
  readonly state: 'within' | 'alert' | 'exhausted';
}

/** @param value null: of all. `from` is included, `to` is not. */
export type SpentOnValue = (
  scope: DatabaseScope,
  dimension: 'all' | 'user' | 'key' | 'prompt' | 'tag' | 'model_or_route',
  value: string | null,
  period: { readonly from: Date; readonly to: Date },
) => Promise<bigint>;

export interface BudgetsServiceDependencies {
  readonly store: BudgetsStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly periods: Periods;
  /** What was spent on one value of a dimension of the ledger, nano-dollars. */
  readonly spent: SpentOnValue;
  /** Resolves when what was recorded before can be read from the ledger, or after a while. */
  readonly flush: () => Promise<unknown>;
  /** Reads a tenant's hard budgets anew, so that the next call here meets them as they are. */
  readonly refresh: (tenantId: string) => Promise<void>;
  /** What a hard budget has spent and holds, nano-dollars; null while nobody asked its counter yet. */
  readonly spentAndHeld: (budget: Budget) => Promise<bigint | null>;
}

/** Budgets whose spend is read at once: a page of them must not take all connections. */
const atOnce = 3;

export type BudgetsService = ReturnType<typeof createBudgetsService>;

export function createBudgetsService(deps: BudgetsServiceDependencies) {
  const { store, clock } = deps;

  /** What the ledger says of the current period, rows included that are still on their way there. */
  const spentNow = async (scope: DatabaseScope, timeZone: string, budget: Budget) => {
    const period = deps.periods.at(timeZone, budget.period, clock.now().getTime());
    const nanoUsd = await deps.spent(scope, dimensionOf(budget), budget.scopeId, {
      from: new Date(period.startMs),
      to: new Date(period.endMs),
    });
    return { period, nanoUsd };
  };
  const stateNow = async (principal: Principal, budget: Budget): Promise<BudgetState> => {
    const { period, nanoUsd } = await spentNow(principal, principal.tenant.timeZone, budget);
    const counted = budget.hardLimit ? await deps.spentAndHeld(budget) : null;
    return stateOf(budget, period, nanoUsd, counted);
  };
  const statesOf = async (principal: Principal, budgets: readonly Budget[]): Promise<BudgetState[]> => {
    await deps.flush();
    const states: BudgetState[] = [];
    for (let i = 0; i < budgets.length; i += atOnce) {
      const some = budgets.slice(i, i + atOnce);
      states.push(...(await Promise.all(some.map((budget) => stateNow(principal, budget)))));
    }
    return states;
  };
  const stateOfOne = async (principal: Principal, budget: Budget): Promise<BudgetState> => {
    await deps.flush();
    return stateNow(principal, budget);
  };

  return {
    /** @throws AppError `invalid` naming the field; nothing is stored then. */
    async create(principal: Principal, given: NewBudget): Promise<BudgetState> {
      const fault = faultOfScopeId(given.scope, given.scopeId);
      if (fault !== null) throw invalid('scope_id', fault);
      const now = clock.now();
      const budget: Budget = {
        ...given,
        scopeId: given.scope === 'user' ? (given.scopeId?.toLowerCase() ?? null) : given.scopeId,
        id: deps.newId(),
        tenantId: principal.tenantId,
        hardSince: given.hardLimit ? now : null,
        createdBy: principal.keyId,
        createdAt: now,
        updatedAt: now,
      };
      const stored = await store.insert(principal, budget);
      if (stored !== 'stored') throw refusalToStore(stored, budget);
      await deps.refresh(principal.tenantId);
      return stateOfOne(principal, budget);
    },

    async list(principal: Principal, page: Page<PageCursor>): Promise<BudgetState[]> {
      return statesOf(principal, await store.page(principal, page));
    },

    /** @throws AppError `not_found`. */
    async one(principal: Principal, id: string): Promise<BudgetState> {
      const budget = await store.find(principal, id);
      if (!budget) throw notFound('budget');
      return stateOfOne(principal, budget);
    },

    /** @throws AppError `not_found`. */
    async change(principal: Principal, id: string, change: BudgetChange): Promise<BudgetState> {
      const budget = await store.change(principal, id, change, clock.now());
      if (!budget) throw notFound('budget');
      await deps.refresh(principal.tenantId);
      return stateOfOne(principal, budget);
    },

    /** @throws AppError `not_found`. */
    async remove(principal: Principal, id: string): Promise<void> {
      if (!(await store.remove(principal, id))) throw notFound('budget');
      await deps.refresh(principal.tenantId);
    },

    spentNow,
  };
}

function stateOf(budget: Budget, period: Period, spent: bigint, counted: bigint | null): BudgetState {
  const limit = budget.limitNanoUsd;
  const reserved = counted === null || counted < spent ? 0n : counted - spent;
  const taken = spent + reserved;
  return {
    budget,
    period,
    spentNanoUsd: spent,
    reservedNanoUsd: reserved,
    leftNanoUsd: taken >= limit ? 0n : limit - taken,
    state:
      spent >= limit
        ? 'exhausted'
        : spent * 100n >= limit * BigInt(budget.alertThresholdPercent)
          ? 'alert'
          : 'within',
  };
}

function refusalToStore(
  why: Exclude<Awaited<ReturnType<BudgetsStore['insert']>>, 'stored'>,
  budget: Budget,
): AppError {
  if (why === 'no_such_user') return invalid('scope_id', 'there is no such user in this tenant');
  if (why === 'no_such_key') return invalid('scope_id', 'there is no such key in this tenant');
  if (why === 'too_many') {
    return invalid('scope', `there are ${maxBudgets} budgets, which is as many as a tenant may have`);
  }
  return invalid(
    'period',
    `${whose(budget)} has a budget for the ${budget.period} already. Change that one: PATCH /api/v1/costs/budgets/${why.existing}`,
  );
}

function invalid(path: string, message: string): AppError {
  return new AppError('invalid', `${path}: ${message}.`, { errors: [{ path, message }] });
}

function dimensionOf({ scope }: Budget) {
  if (scope === 'tenant') return 'all';
  return scope === 'model' ? 'model_or_route' : scope;
}
