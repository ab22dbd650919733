import type { BudgetDemand, Counters } from '../../limits/index.ts';
import { AppError } from '../../platform/errors.ts';
import type { RecordedRow } from '../costs.service.ts';
import { usdFromNano } from '../money.ts';
import { whose } from './budget.ts';
import type { BudgetGate, Spender } from './budget-gate.ts';
import type { BudgetSnapshot } from './budget-snapshot.ts';
import type { CallsUnderWay } from './calls-under-way.ts';
import type { createEstablishing } from './establish-counters.ts';
import type { HardBudget } from './hard-budgets.ts';

export interface HardLimitsDependencies {
  readonly snapshot: BudgetSnapshot;
  readonly counters: Pick<Counters, 'settle'>;
  readonly establishing: ReturnType<typeof createEstablishing>;
  readonly underWay: Pick<CallsUnderWay, 'note' | 'recorded'>;
  /** Undefined: there is no such tenant. */
  readonly timeZoneOf: (tenantId: string) => string | undefined;
  readonly patience: BudgetGate['patience'];
}

const noDemands: readonly BudgetDemand[] = Object.freeze([]);

/** Hard limits on the way of a call, and what each ledger row tells them. */
export function createHardLimits(
  deps: HardLimitsDependencies,
): BudgetGate & { recorded(row: RecordedRow): void } {
  const { snapshot, establishing, underWay } = deps;

  return {
    patience: deps.patience,

    demandsFor(spender, amountNanoUsd) {
      const { principal } = spender;
      const ofTenant = snapshot.of(principal.tenantId);
      // What certainly costs nothing needs no room.
      if (ofTenant === undefined || amountNanoUsd === 0n) return noDemands;
      const budgets = ofTenant.of(spentOn(spender));
      if (budgets.length === 0) return noDemands;
      const timeZone = deps.timeZoneOf(principal.tenantId) ?? principal.tenant.timeZone;
      const atMs = spender.at.getTime();
      // What costs more than any limit is refused by all, as a number that counters can compute with.
      const amount = Math.min(Number(amountNanoUsd ?? 0n), Number.MAX_SAFE_INTEGER);
      const demands: BudgetDemand[] = [];
      for (const hard of budgets) {
        if (amountNanoUsd === null && hard.budget.onUnpriced === 'refuse')
          throw unpriced(hard, spender.model);
        const named = hard.counterAt(timeZone, atMs);
        if (named === null) continue;
        const { counter, period } = named;
        demands.push({ kind: 'budget', counter, limit: hard.limit, amount, endsAtMs: period.endMs });
      }
      return demands;
    },

    async establish(principal, counters) {
      await Promise.all(counters.map((counter) => establishing.establish(principal.tenantId, counter)));
    },

    refusal(demand, { remaining }) {
      const budget = snapshot.find(demand.counter.split(':')[1] ?? '')?.budget;
      const resetsAt = new Date(demand.endsAtMs).toISOString();
      const [limitUsd, leftUsd, takenUsd, amountUsd] = [
        demand.limit,
        remaining,
        demand.limit - remaining,
        demand.amount,
      ].map((nanoUsd) => usdFromNano(BigInt(nanoUsd))) as [string, string, string, string];
      const of = budget ? `the budget of ${whose(budget)} for the ${budget.period}` : 'a budget';
      return new AppError(
        'budget_exceeded',
        `This call may cost ${amountUsd} USD, and of ${of} ${leftUsd} USD are left. It starts anew at ${resetsAt}. Ask for less (a smaller max_tokens, a cheaper model), or have the limit raised: PATCH /api/v1/costs/budgets/${budget?.id ?? '{id}'}`,
        {
          extra: {
            budget: budget
              ? { id: budget.id, scope: budget.scope, scope_id: budget.scopeId, period: budget.period }
              : null,
            limit_usd: limitUsd,
            spent_usd: takenUsd,
            left_usd: leftUsd,
            resets_at: resetsAt,
          },
        },
      );
    },

    noteUnderWay: (call) => underWay.note(call),

    /** Counts a row on every hard budget that it falls under, in the period of its own time, once. */
    recorded({ call, costNanoUsd, written }) {
      if (call.final) underWay.recorded(call.callId, written);
      if (costNanoUsd === null || costNanoUsd === 0n) return;
      const ofTenant = snapshot.of(call.tenantId);
      if (ofTenant === undefined) return;
      const timeZone = deps.timeZoneOf(call.tenantId);
      if (timeZone === undefined) return;
      const actuals = new Map<string, number>();
      for (const hard of ofTenant.of(call)) {
        const named = hard.counterAt(timeZone, call.at.getTime());
        if (named === null) continue;
        actuals.set(named.counter, Math.min(Number(costNanoUsd), Number.MAX_SAFE_INTEGER));
        establishing.count(named.counter, costNanoUsd);
      }
      // A name of its own: the reservation of its call is settled by itself.
      if (actuals.size > 0) deps.counters.settle(call.tenantId, `row:${call.id}`, actuals);
    },
  };
}

function spentOn({ principal, promptId, tags, model, route }: Spender) {
  return { userId: principal.userId, keyId: principal.keyId, promptId, tags, model, route };
}

function unpriced({ budget }: HardBudget, model: string): AppError {
  return new AppError(
    'budget_exceeded',
    `Nobody knows what a call of "${model}" costs, and the budget of ${whose(budget)} for the ${budget.period} refuses such calls. Set a price: POST /api/v1/costs/prices; or allow them: PATCH /api/v1/costs/budgets/${budget.id} with {"on_unpriced": "allow"}`,
    {
      extra: {
        budget: { id: budget.id, scope: budget.scope, scope_id: budget.scopeId, period: budget.period },
        limit_usd: usdFromNano(budget.limitNanoUsd),
        unpriced_model: model,
      },
    },
  );
}
