import { z } from 'zod';
import { type Api, problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids } from '../../platform/page.ts';
import type { PricedTarget } from '../price-catalogue.ts';
import {
  discountBody,
  discountView,
  effectiveView,
  overrideBody,
  overrideView,
  priceQuery,
  ruleParams,
  ruleQuery,
} from './prices.schema.ts';
import type { Prices } from './prices.service.ts';

/** Where a provider's models are, for what the catalogue knows by address. Empty when the tenant has no such provider. */
export type AddressOf = (tenantId: string, provider: string) => string;

export function pricesRoutes(prices: Prices, addressOf: AddressOf, now: () => Date): Routes {
  return (api) => {
    overrideRoutes(api, prices, (tenantId, query) => {
      const { provider, model } = query;
      if (provider === undefined || model === undefined) return null;
      const target: PricedTarget = {
        provider: { name: provider, baseUrl: addressOf(tenantId, provider) },
        model,
      };
      return showEffective(
        prices.inForce(target, query.at === undefined ? now() : new Date(query.at), tenantId),
      );
    });
    discountRoutes(api, prices);
  };
}

type EffectiveFor = (
  tenantId: string,
  query: z.infer<typeof priceQuery>,
) => z.infer<typeof effectiveView> | null;

function overrideRoutes(api: Api, prices: Prices, effectiveFor: EffectiveFor): void {
  api.post(
    '/costs/prices',
    {
      config: { access: { permission: 'billing:manage' } },
      schema: {
        tags: ['Costs'],
        summary:
          "Set a model's price from a time on: the tenant's, or the platform's when an owner names no tenant",
        body: overrideBody,
        response: { 201: overrideView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { provider, model, components, effective_from, reason } = request.body;
      const made = await prices.addOverride(request.principal, {
        provider,
        model,
        components: withoutUndefined(components),
        effectiveFrom: effective_from === undefined ? null : new Date(effective_from),
        reason: reason ?? null,
      });
      return reply.code(201).send(showOverride(made));
    },
  );

  api.get(
    '/costs/prices',
    {
      config: { access: { permission: 'costs:read' } },
      schema: {
        tags: ['Costs'],
        summary:
          'List prices that were set, newest first; with provider and model, also the price that holds',
        querystring: priceQuery,
        response: {
          200: z.object({
            prices: z.array(overrideView),
            next_cursor: z.string().nullable(),
            effective: effectiveView.nullable().describe('Null: none holds, or no model was asked for'),
          }),
          ...problemResponses,
        },
      },
    },
    async (request) => {
      const { query, principal } = request;
      const rows = await prices.overrides(principal, filterOf(query), pageOfUuids(query));
      return {
        prices: rows.map(showOverride),
        next_cursor: nextCursor(rows, query.limit),
        effective: effectiveFor(principal.tenantId, query),
      };
    },
  );

  api.delete(
    '/costs/prices/:id',
    {
      config: { access: { permission: 'billing:manage' } },
      schema: {
        tags: ['Costs'],
        summary: 'Withdraw a price that was set; what was charged by it stays until it is repriced',
        params: ruleParams,
        response: { 204: z.null(), ...problemResponses },
      },
    },
    async (request, reply) => {
      await prices.withdrawOverride(request.principal, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function discountRoutes(api: Api, prices: Prices): void {
  api.post(
    '/costs/discounts',
    {
      config: { access: { permission: 'billing:manage' } },
      schema: {
        tags: ['Costs'],
        summary:
          "Take a percentage off prices: the tenant's, or the platform's when an owner names no tenant",
        body: discountBody,
        response: { 201: discountView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { provider, model, percent, effective_from, effective_to, reason } = request.body;
      const made = await prices.addDiscount(request.principal, {
        provider: provider ?? null,
        model: model ?? null,
        percent,
        effectiveFrom: effective_from === undefined ? null : new Date(effective_from),
        effectiveTo: effective_to === undefined ? null : new Date(effective_to),
        reason: reason ?? null,
      });
      return reply.code(201).send(showDiscount(made));
    },
  );

  api.get(
    '/costs/discounts',
    {
      config: { access: { permission: 'costs:read' } },
      schema: {
        tags: ['Costs'],
        summary: 'List discounts, newest first',
        querystring: ruleQuery,
        response: {
          200: z.object({ discounts: z.array(discountView), next_cursor: z.string().nullable() }),
          ...problemResponses,
        },
      },
    },
    async (request) => {
      const { query } = request;
      const rows = await prices.discounts(request.principal, filterOf(query), pageOfUuids(query));
      return { discounts: rows.map(showDiscount), next_cursor: nextCursor(rows, query.limit) };
    },
  );

  api.delete(
    '/costs/discounts/:id',
    {
      config: { access: { permission: 'billing:manage' } },
      schema: {
        tags: ['Costs'],
        summary: 'Withdraw a discount; what was charged with it stays until it is repriced',
        params: ruleParams,
        response: { 204: z.null(), ...problemResponses },
      },
    },
    async (request, reply) => {
      await prices.withdrawDiscount(request.principal, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function filterOf(query: z.infer<typeof ruleQuery>) {
  return { provider: query.provider ?? null, model: query.model ?? null, withdrawn: query.withdrawn };
}

type Override = Awaited<ReturnType<Prices['overrides']>>[number];
type Discount = Awaited<ReturnType<Prices['discounts']>>[number];

function showRule(row: Override | Discount) {
  return {
    id: row.id,
    scope: row.tenant_id === null ? ('platform' as const) : ('tenant' as const),
    provider: row.provider,
    model: row.model,
    effective_from: row.effective_from.toISOString(),
    reason: row.reason,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    withdrawn_at: row.withdrawn_at?.toISOString() ?? null,
  };
}

function showOverride(row: Override) {
  const { provider, model, components } = row;
  return { ...showRule(row), provider, model, components: { ...components } };
}

function showDiscount(row: Discount) {
  return {
    ...showRule(row),
    percent: row.percent,
    effective_to: row.effective_to?.toISOString() ?? null,
  };
}

function showEffective(found: ReturnType<Prices['inForce']>): z.infer<typeof effectiveView> | null {
  if (found === null) return null;
  const { price, override, discount } = found;
  const { components } = JSON.parse(price.json) as { components: Record<string, unknown> };
  return {
    source: override === null ? 'catalogue' : 'override',
    price_id: price.id,
    price_version: price.version,
    components,
    override_id: override?.id ?? null,
    discount: discount && { id: discount.id, percent: discount.percent },
  };
}

function withoutUndefined<Value>(given: Readonly<Record<string, Value | undefined>>): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
