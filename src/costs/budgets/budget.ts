import type { PeriodKind } from './period.ts';

/** What a budget is of. A model's is of calls that ask a provider for it and of calls to the route of that name. */
export const budgetScopes = ['tenant', 'user', 'key', 'prompt', 'model', 'tag'] as const;
export type BudgetScope = (typeof budgetScopes)[number];

export interface Budget {
  readonly id: string;
  readonly tenantId: string;
  readonly scope: BudgetScope;
  /** Null exactly for all of the tenant. */
  readonly scopeId: string | null;
  readonly period: PeriodKind;
  /** From 1 to `maxLimitNanoUsd`. */
  readonly limitNanoUsd: bigint;
  /** From 1 to 100. */
  readonly alertThresholdPercent: number;
  readonly hardLimit: boolean;
  /** Since when it is hard without a break; null exactly when it is not. */
  readonly hardSince: Date | null;
  readonly onUnpriced: 'allow' | 'refuse';
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** 9,000,000 dollars: counters compute with numbers below 2^53. */
export const maxLimitNanoUsd = 9_000_000_000_000_000n;
/** Of one tenant. */
export const maxBudgets = 500;

/** What of a call or a ledger row decides which budgets it falls under. */
export interface SpentOn {
  readonly userId: string | null;
  readonly keyId: string;
  readonly promptId: string | null;
  readonly tags: readonly string[];
  readonly model: string;
  readonly route: string | null;
}

/** What a budget is of, in words: `the user 0198…`. */
export function whose(budget: Pick<Budget, 'scope' | 'scopeId'>): string {
  return budget.scope === 'tenant' ? 'the tenant' : `the ${budget.scope} ${budget.scopeId}`;
}
