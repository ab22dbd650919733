import type { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, pageOfUuids } from '../platform/page.ts';
import type { Costs } from './costs.service.ts';
import { ledgerV2Page, ledgerV2Query, type ledgerV2Row } from './ledger-v2.schema.ts';
import { usdFromNano } from './money.ts';

type Row = Awaited<ReturnType<Costs['callsWithin']>>['rows'][number];

/** The ledger in version 2 of the interface: the same calls from the same service as in version 1. */
export function ledgerV2Routes(costs: Pick<Costs, 'callsWithin'>): Routes {
  return (api) => {
    api.get(
      '/costs/ledger',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read' },
        schema: {
          tags: ['Costs'],
          summary: "List the tenant's model calls of a span of time, newest first",
          querystring: ledgerV2Query,
          response: { 200: ledgerV2Page, ...problemResponses },
        },
      },
      async (request) => {
        const { query, principal } = request;
        const { from, to, rows } = await costs.callsWithin(
          principal,
          { from: query.from, to: query.to },
          {
            ...pageOfUuids(query),
            correlationId: query.correlation_id ?? null,
            earlierAttempts: query.attempts === 'all',
            filter: {
              keyId: query.key_id,
              userId: query.user_id,
              route: query.route,
              provider: query.provider,
              model: query.model,
              promptId: query.prompt_id,
              tag: query.tag,
              status: query.status,
              pricing: query.pricing,
            },
          },
        );
        return {
          from: from.toISOString(),
          to: to.toISOString(),
          data: rows.map(showRow),
          next_cursor: nextCursor(rows, query.limit),
        };
      },
    );
  };
}

function showRow(row: Row): z.infer<typeof ledgerV2Row> {
  return {
    id: row.id,
    at: row.created_at.toISOString(),
    correlation_id: row.correlation_id,
    call: {
      id: row.call_id,
      attempt: row.attempt,
      attempts: row.attempts,
      final: row.final,
      operation: row.operation,
      dialect: row.dialect,
      streamed: row.streamed,
    },
    caller: { key_id: row.key_id, user_id: row.user_id, prompt_id: row.prompt_id, tags: row.tags },
    target: {
      route: row.route,
      tier: row.tier,
      provider: row.provider,
      model: row.model,
      response_model: row.response_model,
    },
    outcome: { status: row.status, error_code: row.error_code },
    usage: {
      estimated: row.estimated,
      input: {
        tokens: Number(row.input_tokens),
        cached_read: Number(row.cached_read_tokens),
        cache_write_5m: Number(row.cache_write_5m_tokens),
        cache_write_1h: Number(row.cache_write_1h_tokens),
      },
      output: { tokens: Number(row.output_tokens), reasoning: Number(row.reasoning_tokens) },
      image: Number(row.image_tokens),
      audio: Number(row.audio_tokens),
      raw: row.raw_usage,
    },
    cost: {
      pricing: row.pricing_state,
      charged: moneyOf(row.cost_nano_usd),
      saved: moneyOf(row.saved_nano_usd),
      price: { id: row.price_id, version: row.price_version },
    },
    timing: { duration_ms: row.duration_ms, first_token_ms: row.first_token_ms },
  };
}

function moneyOf(nanoUsd: bigint | null) {
  return nanoUsd === null ? null : ({ amount: usdFromNano(nanoUsd), currency: 'USD' } as const);
}
