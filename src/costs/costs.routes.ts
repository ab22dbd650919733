import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, pageOfUuids } from '../platform/page.ts';
import { ledgerQuery, ledgerRowView, summaryQuery, summaryView } from './costs.schema.ts';
import type { Costs } from './costs.service.ts';
import { usdFromNano } from './money.ts';

type Row = Awaited<ReturnType<Costs['calls']>>[number];
type Summary = Awaited<ReturnType<Costs['summary']>>;

/** Version 2 of it has filters, and keeps apart what belongs together. */
const ledgerDeprecation = {
  since: '2026-11-21',
  sunset: '2027-11-21',
  successor: '/api/v2/costs/ledger',
} as const;

export function costsRoutes(costs: Pick<Costs, 'summary' | 'calls'>): Routes {
  return (api) => {
    api.get(
      '/costs/summary',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: "What the tenant's model calls cost",
          querystring: summaryQuery,
          response: { 200: summaryView, ...problemResponses },
        },
      },
      async (request) => {
        const { from, to } = request.query;
        const { principal } = request;
        const summary = await costs.summary(principal, { from, to });
        return { ...showSummary(summary), time_zone: principal.tenant.timeZone };
      },
    );

    api.get(
      '/costs/ledger',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read', deprecated: ledgerDeprecation },
        schema: {
          tags: ['Costs'],
          summary: "List the tenant's model calls, newest first",
          querystring: ledgerQuery,
          response: {
            200: z.object({ calls: z.array(ledgerRowView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await costs.calls(request.principal, {
          ...pageOfUuids(request.query),
          correlationId: request.query.correlation_id ?? null,
          earlierAttempts: request.query.attempts === 'all',
        });
        return { calls: rows.map(showRow), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );
  };
}

function showSummary(summary: Summary) {
  return {
    total_cost_usd: usdFromNano(summary.cost_nano_usd),
    adjustments_usd: usdFromNano(summary.adjustments_nano_usd),
    calls: Number(summary.calls),
    tokens: {
      input: Number(summary.input_tokens),
      cached_read: Number(summary.cached_read_tokens),
      cache_write_5m: Number(summary.cache_write_5m_tokens),
      cache_write_1h: Number(summary.cache_write_1h_tokens),
      output: Number(summary.output_tokens),
      reasoning: Number(summary.reasoning_tokens),
      image: Number(summary.image_tokens),
      audio: Number(summary.audio_tokens),
    },
    unpriced: { calls: Number(summary.unpriced_calls), tokens: Number(summary.unpriced_tokens) },
    earlier_attempts: {
      count: Number(summary.earlier_attempts),
      cost_usd: usdFromNano(summary.earlier_cost_nano_usd),
    },
    cached: { calls: Number(summary.cached_calls), saved_usd: usdFromNano(summary.saved_nano_usd) },
    from: summary.from.toISOString(),
    to: summary.to.toISOString(),
  };
}

function showRow(row: Row) {
  const { created_at, cost_nano_usd, saved_nano_usd, pricing_state, ...plain } = row;
  return {
    ...plain,
    at: created_at.toISOString(),
    input_tokens: Number(row.input_tokens),
    cached_read_tokens: Number(row.cached_read_tokens),
    cache_write_5m_tokens: Number(row.cache_write_5m_tokens),
    cache_write_1h_tokens: Number(row.cache_write_1h_tokens),
    output_tokens: Number(row.output_tokens),
    reasoning_tokens: Number(row.reasoning_tokens),
    image_tokens: Number(row.image_tokens),
    audio_tokens: Number(row.audio_tokens),
    pricing_state,
    cost_usd: cost_nano_usd === null ? null : usdFromNano(cost_nano_usd),
    saved_usd: saved_nano_usd === null ? null : usdFromNano(saved_nano_usd),
  };
}
