import { z } from 'zod';
import type { FastifyRequest, Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import type { Routing } from '../routing/index.ts';
import { anthropicErrorBody } from './anthropic.routes.ts';
import { openAiErrorBody } from './openai.routes.ts';

type CallableRoute = ReturnType<Routing['callableRoutes']>[number];

/**
 * The model names that lead somewhere, as the caller's client knows lists of models: in the form of Anthropic's API for
 * those that send its version with every request, in that of the OpenAI API for all others.
 */
export function modelListRoutes(routing: Pick<Routing, 'callableRoutes'>): Routes {
  return (api) => {
    api.get(
      '/models',
      {
        config: { access: { permission: 'models:list' } },
        schema: {
          tags: ['Models'],
          summary: 'List the model names that lead somewhere: the routes',
          querystring: z.object({
            limit: z.coerce.number().int().min(1).max(1_000).optional().describe(onlyAnthropic),
            after_id: z.string().max(500).optional().describe(onlyAnthropic),
            before_id: z.string().max(500).optional().describe(onlyAnthropic),
          }),
          response: { 200: z.union([openAiList, anthropicList]), '4xx': errorBody, '5xx': errorBody },
        },
      },
      async (request) => {
        const routes = routing.callableRoutes(request.principal);
        if (isAnthropics(request)) return anthropicPage(routes, request.query);
        return { object: 'list' as const, data: routes.map(openAiModel) };
      },
    );

    api.get(
      '/models/:model',
      {
        config: { access: { permission: 'models:list' } },
        schema: {
          tags: ['Models'],
          summary: 'Show one model name',
          params: z.object({ model: z.string().max(500) }),
          response: {
            200: z.union([openAiModelView, anthropicModelView]),
            '4xx': errorBody,
            '5xx': errorBody,
          },
        },
      },
      async (request) => {
        const { model } = request.params;
        const route = routing.callableRoutes(request.principal).find((candidate) => candidate.name === model);
        if (!route) throw new AppError('model_not_found', `There is no route "${model}".`);
        return isAnthropics(request) ? anthropicModel(route) : openAiModel(route);
      },
    );
  };
}

function isAnthropics(request: Pick<FastifyRequest, 'headers'>): boolean {
  return request.headers['anthropic-version'] !== undefined;
}

function openAiModel(route: CallableRoute) {
  return {
    id: route.name,
    object: 'model' as const,
    created: Math.floor(route.createdAt.getTime() / 1000),
    owned_by: route.tenantId === null ? 'platform' : 'tenant',
  };
}

function anthropicModel(route: CallableRoute) {
  return {
    type: 'model' as const,
    id: route.name,
    display_name: route.name,
    created_at: route.createdAt.toISOString(),
  };
}

/** As many as Anthropic gives where the caller does not say. */
const defaultLimit = 20;

/** One page (https://platform.claude.com/docs/en/api/models-list); a cursor that is gone begins at the beginning. */
function anthropicPage(
  routes: readonly CallableRoute[],
  query: { limit?: number | undefined; after_id?: string | undefined; before_id?: string | undefined },
) {
  const limit = query.limit ?? defaultLimit;
  const indexOf = (name: string | undefined) => routes.findIndex((route) => route.name === name);
  const before = indexOf(query.before_id);
  const start = before >= 0 ? Math.max(0, before - limit) : indexOf(query.after_id) + 1;
  const end = before >= 0 ? before : Math.min(start + limit, routes.length);
  const data = routes.slice(start, end).map(anthropicModel);
  return {
    data,
    has_more: before >= 0 ? start > 0 : end < routes.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

const onlyAnthropic = "In the form of Anthropic's API only";

const openAiModelView = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number().int(),
  owned_by: z.string(),
});
const openAiList = z.object({ object: z.literal('list'), data: z.array(openAiModelView) });

const anthropicModelView = z.object({
  type: z.literal('model'),
  id: z.string(),
  display_name: z.string(),
  created_at: z.string().describe('When the route was made'),
});
const anthropicList = z.object({
  data: z.array(anthropicModelView),
  has_more: z.boolean(),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
});

const errorBody = z.union([openAiErrorBody, anthropicErrorBody]);
