import type { IncomingMessage, ServerResponse } from 'node:http';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';

/** The HTTP server as a capability's routes see it: request and reply types follow from the zod schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** A capability's routes: `http/` gives each its server and prefix, `compose/http.ts` lists them. */
export type Routes = (api: Api) => void;

export type { FastifyReply, FastifyRequest };

/**
 * How a route answers an `Idempotency-Key`. Without a declaration its handler runs within one transaction of the database,
 * to which the reply is added. A route that does more than a transaction undoes, or waits for others to see what it did,
 * says why that is harmless to do again, should the process end between the work and the note of its reply.
 */
export interface RouteIdempotency {
  readonly repeatable: string;
  /** Its answer tells of documents: it is given again only while its caller might read the same of the same. */
  readonly tellsOf?: 'documents';
}

declare module 'fastify' {
  interface FastifyContextConfig {
    idempotency?: RouteIdempotency;
  }
}

/** The body of every error under /api/v1 (RFC 9457), as the OpenAPI document shows it. */
const problemSchema = z
  .object({
    type: z.string().describe('Stable address of this kind of problem'),
    title: z.string(),
    status: z.number().int(),
    code: z.string().describe('Stable name of this kind of problem'),
    detail: z.string().describe('What happened and what to do about it'),
    correlation_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .loose()
  .describe('An error');

/** Error responses that any authenticated route can give; spread into a route's `response`. */
export const problemResponses = {
  '4xx': problemSchema,
  '5xx': problemSchema,
} as const;
