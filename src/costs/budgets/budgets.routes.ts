import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids, pageQuery } from '../../platform/page.ts';
import { usdFromNano } from '../money.ts';
import { budgetBody, budgetChange, budgetParams, budgetView } from './budgets.schema.ts';
import type { BudgetState, BudgetsService } from './budgets.service.ts';

export function budgetsRoutes(budgets: BudgetsService): Routes {
  return (api) => {
    api.post(
      '/costs/budget',
      {
        config: { access: { permission: 'costs:manage' } },
        schema: {
          tags: ['Costs'],
          summary: 'Set a budget for a day, week or month; one for each scope and period',
          body: budgetBody,
          response: { 201: budgetView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { scope, scope_id, period, limit_usd, alert_threshold_percent, hard_limit, on_unpriced } =
          request.body;
        const made = await budgets.create(request.principal, {
          scope,
          scopeId: scope_id ?? null,
          period,
          limitNanoUsd: limit_usd,
          alertThresholdPercent: alert_threshold_percent,
          hardLimit: hard_limit,
          onUnpriced: on_unpriced,
        });
        return reply.code(201).send(show(made));
      },
    );

    api.get(
      '/costs/budgets',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'List budgets, newest first, with what is spent and left of each',
          querystring: pageQuery,
          response: {
            200: z.object({ budgets: z.array(budgetView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const states = await budgets.list(request.principal, pageOfUuids(request.query));
        const cursors = states.map(({ budget }) => ({ created_at: budget.createdAt, id: budget.id }));
        return { budgets: states.map(show), next_cursor: nextCursor(cursors, request.query.limit) };
      },
    );

    api.get(
      '/costs/budgets/:id',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'Show a budget',
          params: budgetParams,
          response: { 200: budgetView, ...problemResponses },
        },
      },
      async (request) => show(await budgets.one(request.principal, request.params.id)),
    );

    api.patch(
      '/costs/budgets/:id',
      {
        config: { access: { permission: 'costs:manage' } },
        schema: {
          tags: ['Costs'],
          summary: 'Change a budget; the next call meets it as it is then',
          params: budgetParams,
          body: budgetChange,
          response: { 200: budgetView, ...problemResponses },
        },
      },
      async (request) => {
        const { limit_usd, alert_threshold_percent, hard_limit, on_unpriced } = request.body;
        return show(
          await budgets.change(request.principal, request.params.id, {
            ...(limit_usd === undefined ? {} : { limitNanoUsd: limit_usd }),
            ...(alert_threshold_percent === undefined
              ? {}
              : { alertThresholdPercent: alert_threshold_percent }),
            ...(hard_limit === undefined ? {} : { hardLimit: hard_limit }),
            ...(on_unpriced === undefined ? {} : { onUnpriced: on_unpriced }),
          }),
        );
      },
    );

    api.delete(
      '/costs/budgets/:id',
      {
        config: { access: { permission: 'costs:manage' } },
        schema: {
          tags: ['Costs'],
          summary: 'Delete a budget',
          params: budgetParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await budgets.remove(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}

function show({ budget, spentNanoUsd, reservedNanoUsd, leftNanoUsd, state, period }: BudgetState) {
  return {
    id: budget.id,
    scope: budget.scope,
    scope_id: budget.scopeId,
    period: budget.period,
    limit_usd: usdFromNano(budget.limitNanoUsd),
    alert_threshold_percent: budget.alertThresholdPercent,
    hard_limit: budget.hardLimit,
    on_unpriced: budget.onUnpriced,
    spent_usd: usdFromNano(spentNanoUsd),
    reserved_usd: usdFromNano(reservedNanoUsd),
    left_usd: usdFromNano(leftNanoUsd),
    state,
    period_start: new Date(period.startMs).toISOString(),
    period_end: new Date(period.endMs).toISOString(),
    created_by: budget.createdBy,
    created_at: budget.createdAt.toISOString(),
    updated_at: budget.updatedAt.toISOString(),
  };
}
