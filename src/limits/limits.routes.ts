import { z } from 'zod';
import { showTenant } from '../access/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import { figuresFrom } from '../platform/limits-settings.ts';
import { nextCursor, pageOfUuids, pageQuery } from '../platform/page.ts';
import type { FigureName, SomeFigures } from './limit-figures.ts';
import type { LimitRule } from './limit-rules.ts';
import {
  figuresPatch,
  limitedTenantView,
  ruleBody,
  rulePatch,
  ruleView,
  tenantPatch,
  tierName,
  tierView,
} from './limits.schema.ts';
import type { FigureChange, LimitedTenant, Limits, TierView } from './limits.service.ts';

export function limitsRoutes(limits: Limits): Routes {
  return (api) => {
    tenantRoutes(limits)(api);
    tierRoutes(limits)(api);
    ruleRoutes(limits)(api);
  };
}

function tenantRoutes(limits: Limits): Routes {
  const params = z.object({ tenant: z.string().max(100).describe('Id or slug') });
  return (api) => {
    api.get(
      '/tenants/:tenant',
      {
        config: { access: { permission: 'limits:read' } },
        schema: {
          tags: ['Tenants'],
          summary: 'Show a tenant and what limits it; one’s own, or any for an owner',
          params,
          response: { 200: limitedTenantView, ...problemResponses },
        },
      },
      async (request) => showLimitedTenant(await limits.tenant(request.principal, request.params.tenant)),
    );

    api.patch(
      '/tenants/:tenant',
      {
        config: { access: { permission: 'tenants:manage' } },
        schema: {
          tags: ['Tenants'],
          summary:
            'Change a tenant: name, tier, status, time zone, and limits of its own, for a while or for good',
          params,
          body: tenantPatch,
          response: { 200: limitedTenantView, ...problemResponses },
        },
      },
      async (request) => {
        const {
          time_zone,
          ip_allow_list: ipAllowList,
          limits: figures,
          limits_expire_at,
          ...given
        } = request.body;
        const { set, unset } = figureChange(figures);
        const changed = await limits.changeTenant(request.params.tenant, {
          ...given,
          timeZone: time_zone,
          ipAllowList,
          limits: set,
          tiersFigures: unset,
          limitsExpireAt: momentOf(limits_expire_at),
        });
        return showLimitedTenant(changed);
      },
    );
  };
}

function tierRoutes(limits: Limits): Routes {
  return (api) => {
    api.get(
      '/limits/tiers',
      {
        config: { access: { permission: 'limits:read' } },
        schema: {
          tags: ['Limits'],
          summary: 'List tiers and their figures',
          response: { 200: z.object({ tiers: z.array(tierView) }), ...problemResponses },
        },
      },
      async () => ({ tiers: limits.tiers().map(showTier) }),
    );

    api.patch(
      '/limits/tiers/:tier',
      {
        config: { access: { permission: 'tenants:manage' } },
        schema: {
          tags: ['Limits'],
          summary: 'Change figures of a tier, for all tenants of it',
          params: z.object({ tier: tierName }),
          body: figuresPatch,
          response: { 200: tierView, ...problemResponses },
        },
      },
      async (request) =>
        showTier(await limits.changeTier(request.principal, request.params.tier, figureChange(request.body))),
    );
  };
}

function ruleRoutes(limits: Limits): Routes {
  const params = z.object({ id: z.string().max(100) });
  return (api) => {
    api.get(
      '/limits/rules',
      {
        config: { access: { permission: 'limits:read' } },
        schema: {
          tags: ['Limits'],
          summary: 'List further limits by address, user, key, route and model, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ rules: z.array(ruleView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rules = await limits.rules(request.principal, pageOfUuids(request.query));
        const cursors = rules.map(({ createdAt, id }) => ({ created_at: createdAt, id }));
        return { rules: rules.map(showRule), next_cursor: nextCursor(cursors, request.query.limit) };
      },
    );

    api.post(
      '/limits/rules',
      {
        config: { access: { permission: 'limits:manage' } },
        schema: {
          tags: ['Limits'],
          summary: 'Add a further limit of the tenant’s own; all limits apply at once',
          body: ruleBody,
          response: { 201: ruleView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { scope, subject, limits: figures, expires_at } = request.body;
        const expiresAt = momentOf(expires_at) ?? null;
        const { set } = figureChange(figures);
        const rule = await limits.createRule(request.principal, { scope, subject, figures: set, expiresAt });
        return reply.code(201).send(showRule(rule));
      },
    );

    api.patch(
      '/limits/rules/:id',
      {
        config: { access: { permission: 'limits:manage' } },
        schema: {
          tags: ['Limits'],
          summary: 'Change the figures of a further limit, or when it ends',
          params,
          body: rulePatch,
          response: { 200: ruleView, ...problemResponses },
        },
      },
      async (request) => {
        const { limits: figures, expires_at } = request.body;
        const { id } = request.params;
        const change = figureChange(figures);
        return showRule(await limits.changeRule(request.principal, id, change, momentOf(expires_at)));
      },
    );

    api.delete(
      '/limits/rules/:id',
      {
        config: { access: { permission: 'limits:manage' } },
        schema: {
          tags: ['Limits'],
          summary: 'Delete a further limit',
          params,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await limits.deleteRule(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}

type Given = Readonly<Record<string, number | 'unlimited' | null | undefined>>;

/** On the wire null takes a figure away, and `unlimited` is a figure. */
function figureChange(given: Given = {}): FigureChange {
  const entries = Object.entries(given);
  const unset = entries.flatMap(([name, value]) => (value === null ? [name as FigureName] : []));
  const set = entries.filter((entry): entry is [string, number | 'unlimited'] => entry[1] != null);
  return { set: figuresFrom(Object.fromEntries(set)), unset };
}

function momentOf(text: string | null | undefined): Date | null | undefined {
  return typeof text === 'string' ? new Date(text) : text;
}

function showFigures(figures: SomeFigures) {
  const shown = Object.entries(figures).map(([name, value]) => [name, value ?? 'unlimited']);
  return Object.fromEntries(shown) as Record<FigureName, number | 'unlimited'>;
}

function showLimitedTenant({ row, own, ownExpireAt, inForce }: LimitedTenant) {
  return {
    ...showTenant(row),
    limits: showFigures(inForce),
    own_limits: showFigures(own),
    limits_expire_at: ownExpireAt?.toISOString() ?? null,
  };
}

function showTier({ tier, figures, set }: TierView) {
  return { tier, limits: showFigures(figures), set_by_owner: [...set] };
}

function showRule(rule: LimitRule) {
  return {
    id: rule.id,
    tenant_id: rule.tenantId,
    scope: rule.scope,
    subject: rule.subject,
    limits: rule.figures as Record<string, number>,
    expires_at: rule.expiresAt?.toISOString() ?? null,
    created_by: rule.createdBy,
    created_at: rule.createdAt.toISOString(),
    updated_at: rule.updatedAt.toISOString(),
  };
}
