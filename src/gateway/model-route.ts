import { z } from 'zod';
import type { Api, FastifyReply, FastifyRequest } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { CallModel } from './call-model.ts';
import { Cancellation } from './cancellation.ts';
import { HttpReply, type OpenReplies } from './http-reply.ts';
import { madeForOf } from './made-for.ts';
import type { CallerRequest, Dialect, DialectName } from './model-call.ts';

export interface ModelRouteDependencies {
  readonly callModel: CallModel;
  readonly replies: OpenReplies;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly newId: NewId;
}

/** A route that reaches a model, in the terms of one dialect. */
export interface ModelRoute {
  readonly path: string;
  readonly summary: string;
  readonly dialect: Dialect;
  /** What of the body is looked at, for the published document only. */
  readonly body: z.ZodType;
  readonly errorBody: z.ZodType;
  /** Where this dialect's clients look for the id of a request; ours stands there unless the provider gives its own. */
  readonly requestIdHeader?: string;
  /**
   * @param body the bytes as received.
   * @throws AppError `bad_request` naming the field, `unsupported_media_type` when there are no JSON bytes.
   */
  read(body: unknown, headers: FastifyRequest['headers']): CallerRequest;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Routes of a model dialect say which: their errors take its shape. */
    dialect?: DialectName;
  }
}

/** HTTP-7: model calls carry pictures and long prompts. */
const bodyLimit = 20 * 1024 * 1024;

/** The body goes to the provider as it came, so its bytes are kept and parsed by the dialect once, for looking only. */
export function keepBytes(api: Api): void {
  api.removeContentTypeParser('application/json');
  api.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}

/** Declares one route that reaches a model. Its bodies must be kept as bytes (`keepBytes`). */
export function addModelRoute(api: Api, deps: ModelRouteDependencies, route: ModelRoute): void {
  api.post(
    route.path,
    {
      bodyLimit,
      config: {
        access: { permission: 'models:call' },
        limits: { as: 'call' },
        dialect: route.dialect.name,
      },
      // The schema documents what we look at; the bytes are checked by the dialect, whose errors its clients understand.
      validatorCompiler: () => () => true,
      schema: {
        tags: ['Models'],
        summary: route.summary,
        body: route.body,
        response: { 200: providersReply, '4xx': route.errorBody, '5xx': route.errorBody },
      },
    },
    (request, reply) => answer(deps, route, request, reply),
  );
}

async function answer(
  deps: ModelRouteDependencies,
  route: ModelRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Buffer | undefined> {
  if (route.requestIdHeader) reply.header(route.requestIdHeader, request.correlationId);
  const understood = route.read(request.body, request.headers);
  const cancellation = new Cancellation();
  const output = new HttpReply(reply, cancellation, deps.replies, deps.clock);
  try {
    const answered = await deps.callModel(
      {
        id: deps.newId(),
        caller: request,
        permission: 'models:call',
        model: understood.model,
        streamed: understood.streamed,
        dialect: route.dialect,
        request: understood,
        headers: request.headers,
        cancellation,
        madeFor: madeForOf(request.headers),
        entry: output,
      },
      output,
    );
    return output.finish(answered);
  } catch (error) {
    output.abandon();
    throw error;
  }
}

const providersReply = z.unknown().describe("The provider's reply, or its stream of events, as it came");
