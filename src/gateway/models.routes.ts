import { z } from 'zod';
import type { Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import type { Routing } from '../routing/index.ts';
import { openAiErrorBody } from './openai.routes.ts';

/** The model names that lead somewhere. */
export function modelListRoutes(routing: Pick<Routing, 'callableRoutes'>): Routes {
  const show = (route: { name: string; createdAt: Date; tenantId: string | null }) => ({
    id: route.name,
    object: 'model' as const,
    created: Math.floor(route.createdAt.getTime() / 1000),
    owned_by: route.tenantId === null ? 'platform' : 'tenant',
  });

  return (api) => {
    api.get(
      '/models',
      {
        config: { access: { permission: 'models:list' } },
        schema: {
          tags: ['Models'],
          summary: 'List the model names that lead somewhere: the routes',
          response: {
            200: z.object({ object: z.literal('list'), data: z.array(modelView) }),
            '4xx': openAiErrorBody,
            '5xx': openAiErrorBody,
          },
        },
      },
      async (request) => ({
        object: 'list' as const,
        data: routing.callableRoutes(request.principal).map(show),
      }),
    );

    api.get(
      '/models/:model',
      {
        config: { access: { permission: 'models:list' } },
        schema: {
          tags: ['Models'],
          summary: 'Show one model name',
          params: z.object({ model: z.string().max(500) }),
          response: { 200: modelView, '4xx': openAiErrorBody, '5xx': openAiErrorBody },
        },
      },
      async (request) => {
        const { model } = request.params;
        const route = routing.callableRoutes(request.principal).find((candidate) => candidate.name === model);
        if (!route) throw new AppError('model_not_found', `There is no route "${model}".`);
        return show(route);
      },
    );
  };
}

const modelView = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number().int(),
  owned_by: z.string(),
});
