import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, type Page, type PageCursor, pageOf, pageQuery } from '../platform/page.ts';
import { type Provider, type Route, tierName } from './resolution.ts';
import { modelName, providerBody, providerView, routeBody, routeView } from './routing.schema.ts';
import type { Routing } from './routing.service.ts';

export function routingRoutes(routing: Routing): Routes {
  return (api) => {
    providerRoutes(routing)(api);
    modelRouteRoutes(routing)(api);
  };
}

function providerRoutes(routing: Routing): Routes {
  return (api) => {
    api.post(
      '/providers',
      {
        config: { access: { permission: 'providers:manage' } },
        schema: {
          tags: ['Providers'],
          summary: "Set up a provider: the tenant's own, or the platform's when an owner names no tenant",
          body: providerBody,
          response: { 201: providerView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { name, kind, base_url, api_key } = request.body;
        const provider = await routing.createProvider(request.principal, {
          name,
          kind,
          baseUrl: base_url,
          apiKey: api_key ?? null,
        });
        return reply.code(201).send(showProvider(provider));
      },
    );

    api.get(
      '/providers',
      {
        config: { access: { permission: 'providers:read' } },
        schema: {
          tags: ['Providers'],
          summary: 'List providers, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ providers: z.array(providerView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const page = pageFrom(routing.providers(request.principal), pageOf(request.query));
        return { providers: page.rows.map(showProvider), next_cursor: page.next };
      },
    );

    api.delete(
      '/providers/:provider',
      {
        config: { access: { permission: 'providers:manage' } },
        schema: {
          tags: ['Providers'],
          summary: 'Delete a provider by id or name',
          params: z.object({ provider: z.string().max(100) }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await routing.deleteProvider(request.principal, request.params.provider);
        return reply.code(204).send(null);
      },
    );
  };
}

function modelRouteRoutes(routing: Routing): Routes {
  const params = z.object({ name: modelName });
  return (api) => {
    api.put(
      '/routes/:name',
      {
        config: { access: { permission: 'routes:manage' } },
        schema: {
          tags: ['Routes'],
          summary: 'Make or replace a route: a model name that callers use, and where it leads',
          params,
          body: routeBody,
          response: { 200: routeView, ...problemResponses },
        },
      },
      async (request) =>
        showRoute(await routing.putRoute(request.principal, request.params.name, request.body.tiers)),
    );

    api.get(
      '/routes',
      {
        config: { access: { permission: 'routes:read' } },
        schema: {
          tags: ['Routes'],
          summary: 'List routes, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ routes: z.array(routeView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const page = pageFrom(routing.routes(request.principal), pageOf(request.query));
        return { routes: page.rows.map(showRoute), next_cursor: page.next };
      },
    );

    api.get(
      '/routes/:name',
      {
        config: { access: { permission: 'routes:read' } },
        schema: {
          tags: ['Routes'],
          summary: 'Show a route',
          params,
          response: { 200: routeView, ...problemResponses },
        },
      },
      async (request) => showRoute(routing.route(request.principal, request.params.name)),
    );

    api.delete(
      '/routes/:name',
      {
        config: { access: { permission: 'routes:manage' } },
        schema: {
          tags: ['Routes'],
          summary: 'Delete a route',
          params,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await routing.deleteRoute(request.principal, request.params.name);
        return reply.code(204).send(null);
      },
    );
  };
}

/** One page of a list that is in memory, newest first, by the same cursors as lists in the database. */
function pageFrom<Item extends { readonly id: string; readonly createdAt: Date }>(
  items: readonly Item[],
  page: Page<PageCursor>,
) {
  const { after } = page;
  const start = after
    ? items.findIndex((item) => {
        const younger = after.createdAt.getTime() - item.createdAt.getTime();
        return younger > 0 || (younger === 0 && item.id < after.id);
      })
    : 0;
  const rows = start < 0 ? [] : items.slice(start, start + page.limit);
  const cursors = rows.map((item) => ({ created_at: item.createdAt, id: item.id }));
  return { rows, next: nextCursor(cursors, page.limit) };
}

function showProvider(provider: Provider) {
  return {
    id: provider.id,
    name: provider.name,
    kind: provider.kind,
    base_url: provider.baseUrl,
    has_key: provider.keys.length > 0 || provider.keyProblem !== null,
    key_hint: provider.keys[0]?.hint ?? null,
    scope: provider.tenantId === null ? ('platform' as const) : ('tenant' as const),
    source: provider.source,
    created_at: provider.source === 'stored' ? provider.createdAt.toISOString() : null,
  };
}

function showRoute(route: Route) {
  return {
    name: route.name,
    scope: route.tenantId === null ? ('platform' as const) : ('tenant' as const),
    tiers: route.tiers.map((tier, index) => ({ name: tierName(index), targets: [...tier.targets] })),
    created_at: route.createdAt.toISOString(),
    updated_at: route.updatedAt.toISOString(),
  };
}
