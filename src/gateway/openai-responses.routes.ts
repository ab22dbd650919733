import { z } from 'zod';
import type { Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { openAiResponses } from './dialects/openai-responses.ts';
import { readResponsesRequest } from './dialects/openai-responses-request.ts';
import { addModelRoute, keepBytes, type ModelRouteDependencies } from './model-route.ts';
import { openAiErrorBody } from './openai.routes.ts';

/** The OpenAI API's responses. */
export function openAiResponsesRoutes(deps: ModelRouteDependencies): Routes {
  return (api) => {
    keepBytes(api);
    addModelRoute(api, deps, {
      path: '/responses',
      summary: 'Ask a model, in the form of the OpenAI Responses API; streams when asked to',
      dialect: openAiResponses,
      read: readResponsesRequest,
      body: responsesBody,
      errorBody: openAiErrorBody,
    });
    api.all(
      '/responses/*',
      {
        config: { access: { permission: 'models:list' }, dialect: openAiResponses.name },
        schema: { hide: true },
      },
      async (request) => {
        const called = `${request.method} ${request.url.split('?')[0]}`;
        throw new AppError(
          'not_found',
          `${called} is not offered. Replies are not kept here to be fetched, cancelled, counted or compacted, whatever ` +
            'store says: send the conversation so far as the input of POST /v1/responses.',
        );
      },
    );
  };
}

const responsesBody = z
  .object({
    model: z.string().describe('A route, or <provider>/<model>'),
    input: z.union([z.string(), z.array(z.record(z.string(), z.unknown()))]).nullish(),
    stream: z.boolean().nullish(),
  })
  .loose()
  .describe(
    'Passed to a provider that speaks this API as it is, but for the model name; translated for others',
  );
