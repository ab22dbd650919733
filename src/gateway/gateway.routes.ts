import { z } from 'zod';
import type { Api, FastifyReply, FastifyRequest, Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Routing } from '../routing/index.ts';
import type { CallModel } from './call-model.ts';
import { Cancellation } from './cancellation.ts';
import { chatRequestRules, openAiChat } from './dialects/openai-chat.ts';
import { embeddingsRequestRules, openAiEmbeddings } from './dialects/openai-embeddings.ts';
import { type RequestRules, readOpenAiRequest } from './dialects/openai-request.ts';
import { HttpReply, type OpenStreams } from './http-reply.ts';
import type { Dialect } from './model-call.ts';

export interface GatewayRoutesDependencies {
  readonly callModel: CallModel;
  readonly routing: Pick<Routing, 'callableRoutes'>;
  readonly streams: OpenStreams;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly newId: NewId;
}

/** HTTP-7: model calls carry pictures and long prompts. */
const bodyLimit = 20 * 1024 * 1024;

/** The OpenAI dialect under /v1: chat completions, embeddings and the list of models. */
export function gatewayRoutes(deps: GatewayRoutesDependencies): Routes {
  return (api) => {
    keepBytes(api);
    modelRoute(api, deps, {
      path: '/chat/completions',
      summary: 'Ask a model, in the form of the OpenAI API; streams when asked to',
      dialect: openAiChat,
      rules: chatRequestRules,
      body: chatBody,
    });
    modelRoute(api, deps, {
      path: '/embeddings',
      summary: 'Turn texts into vectors, in the form of the OpenAI API',
      dialect: openAiEmbeddings,
      rules: embeddingsRequestRules,
      body: embeddingsBody,
    });
    listRoutes(api, deps);
  };
}

interface ModelRoute {
  readonly path: string;
  readonly summary: string;
  readonly dialect: Dialect;
  readonly rules: RequestRules;
  readonly body: z.ZodType;
}

/** The body goes to the provider as it came, so its bytes are kept and parsed here once, for looking only. */
function keepBytes(api: Api): void {
  api.removeContentTypeParser('application/json');
  api.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}

function modelRoute(api: Api, deps: GatewayRoutesDependencies, route: ModelRoute): void {
  api.post(
    route.path,
    {
      bodyLimit,
      config: { access: { permission: 'models:call' } },
      // The schema documents what we look at; the bytes are checked by the dialect, whose errors its clients understand.
      validatorCompiler: () => () => true,
      schema: {
        tags: ['Models'],
        summary: route.summary,
        body: route.body,
        response: { 200: providersReply, '4xx': errorBody, '5xx': errorBody },
      },
    },
    (request, reply) => answer(deps, route, request, reply),
  );
}

async function answer(
  deps: GatewayRoutesDependencies,
  { dialect, rules }: ModelRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Buffer | undefined> {
  const understood = readOpenAiRequest(request.body, rules);
  const cancellation = new Cancellation();
  const output = new HttpReply(reply, cancellation, deps.streams, deps.clock);
  try {
    const answered = await deps.callModel(
      {
        id: deps.newId(),
        caller: request,
        permission: 'models:call',
        model: understood.model,
        streamed: understood.streamed,
        dialect,
        request: understood,
        cancellation,
      },
      output,
    );
    return output.finish(answered);
  } catch (error) {
    output.abandon();
    throw error;
  }
}

function listRoutes(api: Api, deps: GatewayRoutesDependencies): void {
  const show = (route: { name: string; createdAt: Date; tenantId: string | null }) => ({
    id: route.name,
    object: 'model' as const,
    created: Math.floor(route.createdAt.getTime() / 1000),
    owned_by: route.tenantId === null ? 'platform' : 'tenant',
  });

  api.get(
    '/models',
    {
      config: { access: { permission: 'models:list' } },
      schema: {
        tags: ['Models'],
        summary: 'List the model names that lead somewhere: the routes',
        response: {
          200: z.object({ object: z.literal('list'), data: z.array(modelView) }),
          '4xx': errorBody,
          '5xx': errorBody,
        },
      },
    },
    async (request) => ({
      object: 'list' as const,
      data: deps.routing.callableRoutes(request.principal).map(show),
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
        response: { 200: modelView, '4xx': errorBody, '5xx': errorBody },
      },
    },
    async (request) => {
      const { model } = request.params;
      const route = deps.routing
        .callableRoutes(request.principal)
        .find((candidate) => candidate.name === model);
      if (!route) throw new AppError('model_not_found', `There is no route "${model}".`);
      return show(route);
    },
  );
}

const modelView = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number().int(),
  owned_by: z.string(),
});

const errorBody = z
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

const providersReply = z.unknown().describe("The provider's reply, or its stream of events, as it came");

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
