import type { z } from 'zod';
import type { FastifyReply, FastifyRequest, Routes } from '../platform/api.ts';
import { problemResponses } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import type { FindPassages, Passage, SearchFilters } from './find-passages.ts';
import { highlightsIn } from './highlights.ts';
import type { Caller } from './model-calls.ts';
import type { Ranked } from './rank-found.ts';
import { type filtersBody, searchBody, searchView } from './search.schema.ts';

export function searchRoutes(findPassages: FindPassages): Routes {
  return (api) => {
    api.post(
      '/search',
      {
        config: {
          access: { permission: 'queries:run' },
          limits: { as: 'query' },
          idempotency: { repeatable: 'A question changes nothing.', tellsOf: 'documents' },
        },
        schema: {
          tags: ['Knowledge'],
          summary: 'Find passages that speak of something, among the documents that you may read',
          body: searchBody,
          response: { 200: searchView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { query, mode, limit, filters } = request.body;
        const found = await findPassages(callerOf(request, clientGone(reply)), {
          query,
          mode,
          filters: filtersOf(filters),
        });
        return reply.send({
          hits: found.passages.slice(0, limit).map((passage) => showHit(query, passage)),
          mode: found.mode,
          ...(found.warnings.length > 0 && { warnings: [...found.warnings] }),
          correlation_id: request.correlationId,
        });
      },
    );
  };
}

export function filtersOf(filters: z.infer<typeof filtersBody> | undefined): SearchFilters {
  return { documentIds: filters?.document_ids, metadata: filters?.metadata };
}

export function callerOf(request: FastifyRequest, signal: AbortSignal): Caller {
  const { principal, correlationId, traceparent } = request;
  return { principal, correlationId, traceparent, signal };
}

/** Aborts when the client goes away before its answer is complete. */
export function clientGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new AppError('client_gone', 'The caller has left.'));
  });
  return gone.signal;
}

function showHit(query: string, { documentId, heading, metadata, ...passage }: Ranked<Passage>) {
  const { title, text, start, end, score } = passage;
  return {
    document_id: documentId,
    title,
    text,
    start,
    end,
    score: Math.round(score * 10_000) / 10_000,
    ...(heading !== '' && { heading }),
    metadata,
    highlights: highlightsIn(query, text).map((span) => ({
      start: start + span.start,
      end: start + span.end,
    })),
  };
}
