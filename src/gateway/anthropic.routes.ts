import { z } from 'zod';
import type { Routes } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { anthropicCountTokens } from './dialects/anthropic-count-tokens.ts';
import { anthropicMessages } from './dialects/anthropic-messages.ts';
import { readAnthropicRequest } from './dialects/anthropic-request.ts';
import { addModelRoute, keepBytes, type ModelRouteDependencies } from './model-route.ts';

/** Anthropic's API: messages, and the count of their tokens. */
export function anthropicRoutes(deps: ModelRouteDependencies): Routes {
  return (api) => {
    keepBytes(api);
    addModelRoute(api, deps, {
      path: '/messages',
      summary: "Ask a model, in the form of Anthropic's API; streams when asked to",
      dialect: anthropicMessages,
      read: (body, headers) => readAnthropicRequest(body, headers),
      body: messagesBody,
      errorBody: anthropicErrorBody,
      requestIdHeader: 'request-id',
    });
    addModelRoute(api, deps, {
      path: '/messages/count_tokens',
      summary: "Count the tokens of a request, in the form of Anthropic's API; estimated for other providers",
      dialect: anthropicCountTokens,
      read: (body, headers) => readAnthropicRequest(body, headers, true),
      body: countBody,
      errorBody: anthropicErrorBody,
      requestIdHeader: 'request-id',
    });
    for (const path of ['/messages', '/messages/*']) {
      api.route({
        method: path === '/messages' ? ['GET', 'PUT', 'PATCH', 'DELETE'] : allMethods,
        url: path,
        config: { access: { permission: 'models:list' }, dialect: anthropicMessages.name },
        schema: { hide: true },
        handler: (request) => {
          const asked = `${request.method} ${request.url.split('?')[0]}`;
          throw new AppError(
            'not_found',
            `${asked} is not offered. There are POST /v1/messages and POST /v1/messages/count_tokens.`,
          );
        },
      });
    }
  };
}

const allMethods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

export const anthropicErrorBody = z
  .object({
    type: z.literal('error'),
    error: z.object({ type: z.string(), message: z.string() }).loose(),
  })
  .loose()
  .describe("An error in the form of Anthropic's API; a provider's own is passed on as it is");

const countBody = z
  .object({
    model: z.string().describe('A route, or <provider>/<model>'),
    messages: z.array(z.record(z.string(), z.unknown())),
    system: z.union([z.string(), z.array(z.record(z.string(), z.unknown()))]).optional(),
  })
  .loose()
  .describe("Passed to Anthropic's models as it is, but for the model name; counted here for others");

const messagesBody = countBody
  .extend({ max_tokens: z.number().int(), stream: z.boolean().optional() })
  .describe("Passed to Anthropic's models as it is, but for the model name; translated for others");
