import { z } from 'zod';
import type { Routes } from '../platform/api.ts';
import { chatRequestRules, openAiChat } from './dialects/openai-chat.ts';
import { embeddingsRequestRules, openAiEmbeddings } from './dialects/openai-embeddings.ts';
import { readOpenAiRequest } from './dialects/openai-request.ts';
import { addModelRoute, keepBytes, type ModelRouteDependencies } from './model-route.ts';

/** The OpenAI API's chat completions and embeddings. */
export function openAiRoutes(deps: ModelRouteDependencies): Routes {
  return (api) => {
    keepBytes(api);
    addModelRoute(api, deps, {
      path: '/chat/completions',
      summary: 'Ask a model, in the form of the OpenAI API; streams when asked to',
      dialect: openAiChat,
      read: (body) => readOpenAiRequest(body, chatRequestRules),
      body: chatBody,
      errorBody: openAiErrorBody,
    });
    addModelRoute(api, deps, {
      path: '/embeddings',
      summary: 'Turn texts into vectors, in the form of the OpenAI API',
      dialect: openAiEmbeddings,
      read: (body) => readOpenAiRequest(body, embeddingsRequestRules),
      body: embeddingsBody,
      errorBody: openAiErrorBody,
    });
  };
}

export const openAiErrorBody = z
  .object({
    error: z
      .object({
        message: z.string(),
        type: z.string(),
        param: z.string().nullable(),
        code: z.string().nullable(),
      })
      .loose(),
  })
  .describe("An error in the form of the OpenAI API; a provider's own is passed on as it is");

const chatBody = z
  .object({
    model: z.string().describe('A route, or <provider>/<model>'),
    messages: z.array(z.record(z.string(), z.unknown())),
    stream: z.boolean().nullish(),
  })
  .loose()
  .describe('Passed to the provider as it is, but for the model name');

const embeddingsBody = z
  .object({
    model: z.string().describe('A route, or <provider>/<model>'),
    input: z.union([z.string(), z.array(z.unknown())]),
  })
  .loose()
  .describe('Passed to the provider as it is, but for the model name');
