import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, type Page, type PageCursor, pageOf, pageQuery } from '../platform/page.ts';
import { type DryRunView, dryRunRoutes } from './dry-run.routes.ts';
import {
  modelName,
  providerBody,
  providerDescription,
  providerView,
  routeBody,
  routeView,
} from './routing.schema.ts';
import type { Routing } from './routing.service.ts';
import { describedProvider, routePlan, showProvider, showRoute } from './wire-form.ts';

export function routingRoutes(routing: Routing, about: DryRunView): Routes {
  return (api) => {
    dryRunRoutes(routing, about)(api);
    providerRoutes(routing)(api);
    modelRouteRoutes(routing)(api);
  };
}

function providerRoutes(routing: Routing): Routes {
  const params = z.object({ provider: z.string().max(100) });
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
        const { name } = request.body;
        const given = { name, ...describedProvider(request.body) };
        const provider = await routing.createProvider(request.principal, given);
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

    api.get(
      '/providers/:provider',
      {
        config: { access: { permission: 'providers:read' } },
        schema: {
          tags: ['Providers'],
          summary: 'Show a provider by id or name',
          params,
          response: { 200: providerView, ...problemResponses },
        },
      },
      async (request) => showProvider(routing.provider(request.principal, request.params.provider)),
    );

    api.put(
      '/providers/:provider',
      {
        config: { access: { permission: 'providers:manage' } },
        schema: {
          tags: ['Providers'],
          summary: 'Describe a provider anew; keys that are not given are kept',
          params,
          body: providerDescription,
          response: { 200: providerView, ...problemResponses },
        },
      },
      async (request) => {
        const given = describedProvider(request.body);
        return showProvider(await routing.putProvider(request.principal, request.params.provider, given));
      },
    );

    api.delete(
      '/providers/:provider',
      {
        config: { access: { permission: 'providers:manage' } },
        schema: {
          tags: ['Providers'],
          summary: 'Delete a provider by id or name',
          params,
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
        showRoute(await routing.putRoute(request.principal, request.params.name, routePlan(request.body))),
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
