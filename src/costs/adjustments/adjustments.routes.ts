import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids } from '../../platform/page.ts';
import { usdFromNano } from '../money.ts';
import {
  adjustmentBody,
  adjustmentQuery,
  adjustmentView,
  batchParams,
  repriceBody,
  repriceView,
} from './adjustments.schema.ts';
import type { Adjustments, RepriceReport } from './adjustments.service.ts';

export function adjustmentsRoutes(adjustments: Adjustments): Routes {
  return (api) => {
    api.post(
      '/costs/adjustments',
      {
        config: { access: { permission: 'billing:manage' } },
        schema: {
          tags: ['Costs'],
          summary: 'Credit or correct what the tenant is charged',
          body: adjustmentBody,
          response: { 201: adjustmentView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { kind, amount_usd, reason, at, ledger_id, provider, model } = request.body;
        const made = await adjustments.add(request.principal, {
          kind,
          nanoUsd: amount_usd,
          reason,
          at: at === undefined ? null : new Date(at),
          ledgerId: ledger_id ?? null,
          provider: provider ?? null,
          model: model ?? null,
        });
        return reply.code(201).send(showAdjustment(made));
      },
    );

    api.get(
      '/costs/adjustments',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'List adjustments of what the tenant is charged, newest first',
          querystring: adjustmentQuery,
          response: {
            200: z.object({ adjustments: z.array(adjustmentView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const { query } = request;
        const rows = await adjustments.page(request.principal, {
          ...pageOfUuids(query),
          kind: query.kind ?? null,
          batchId: query.batch_id ?? null,
        });
        return { adjustments: rows.map(showAdjustment), next_cursor: nextCursor(rows, query.limit) };
      },
    );

    api.post(
      '/costs/adjustments/reprice',
      {
        config: {
          access: { permission: 'billing:manage' },
          // The lines it adds, by the thousand, are not told one by one.
          audited: { deed: 'ledger.repriced', tellsBody: true },
          idempotency: {
            repeatable: 'Done again it adds nothing: what is adjusted once needs no adjustment.',
          },
        },
        schema: {
          tags: ['Costs'],
          summary:
            'Compute the cost of calls anew with the prices that hold now for their time, as adjustments',
          body: repriceBody,
          response: { 200: repriceView, 202: repriceView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { from, to, provider, model, reason, dry_run } = request.body;
        const report = await adjustments.reprice(request.principal, {
          from: new Date(from),
          to: new Date(to),
          provider: provider ?? null,
          model: model ?? null,
          reason: reason ?? null,
          dryRun: dry_run,
        });
        return reply.code(report.state === 'running' ? 202 : 200).send(showReport(report));
      },
    );

    api.get(
      '/costs/adjustments/reprice/:batch_id',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'Show what a repricing has adjusted so far',
          params: batchParams,
          response: { 200: repriceView, ...problemResponses },
        },
      },
      async (request) => showReport(await adjustments.repriced(request.principal, request.params.batch_id)),
    );
  };
}

type Row = Awaited<ReturnType<Adjustments['page']>>[number];

function showAdjustment(row: Row) {
  const { id, kind, reason, ledger_id, provider, model, route, key_id, user_id, prompt_id, tags } = row;
  const { priced_now, price_id, price_version, batch_id, created_by } = row;
  return {
    ...{ id, kind, reason, ledger_id, provider, model, route, key_id, user_id, prompt_id, tags: [...tags] },
    ...{ priced_now, price_id, price_version, batch_id, created_by },
    at: row.at.toISOString(),
    delta_usd: usdFromNano(row.delta_nano_usd),
    created_at: row.created_at.toISOString(),
  };
}

function showReport({ batchId, state, counts, sums }: RepriceReport) {
  return {
    batch_id: batchId,
    state,
    adjusted: sums.adjusted,
    newly_priced: sums.newlyPriced,
    delta_usd: usdFromNano(sums.deltaNanoUsd),
    examined: counts?.rows ?? null,
    still_unpriced: counts?.stillUnpriced ?? null,
    no_price_now: counts?.noPriceNow ?? null,
    not_told: counts?.notTold ?? null,
  };
}
