import type { z } from 'zod';
import { cacheWishOf } from '../cache/index.ts';
import { usdFromNano } from '../costs/index.ts';
import { type FastifyReply, type FastifyRequest, problemResponses, type Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import { answerView, queryBody } from './answer.schema.ts';
import type { Answer, AnswerEvent, AnswerQuestion, Question } from './answer.ts';
import type { Citation } from './checked-answer.ts';
import { createEventStream } from './event-stream.ts';
import { callerOf, clientGone, filtersOf } from './search.routes.ts';

export interface AnswerRoutesDependencies {
  readonly answerQuestion: AnswerQuestion;
  readonly clock: Clock;
  /** The problem document of an error, for one that comes when the reply has begun. */
  readonly problemOf: (error: unknown, correlationId: string) => object;
}

/**
 * The events of a stream: `citation` (a citation with its `index`, before the text that it is for), `delta` (`text`, and
 * `supported` where something is claimed), `restart` (`reason`: drop what was shown), `done` (the whole answer, which is
 * what counts) and `error` (a problem document, in place of `done`).
 */
export function answerRoutes({ answerQuestion, clock, problemOf }: AnswerRoutesDependencies): Routes {
  return (api) => {
    api.post(
      '/query',
      {
        config: {
          access: { permission: 'queries:run' },
          limits: { as: 'query' },
          idempotency: { repeatable: 'A question changes nothing.', tellsOf: 'documents' },
        },
        schema: {
          tags: ['Knowledge'],
          summary: 'Answer a question from the documents that you may read, with citations',
          description:
            'With `stream: true` or `Accept: text/event-stream` the answer comes as server-sent events: `citation` and `delta` as sentences are checked, `restart` when what was sent does not stand, and `done` with the whole answer.',
          body: queryBody,
          response: { 200: answerView, ...problemResponses },
        },
      },
      (request, reply) =>
        request.body.stream || acceptsEvents(request) ? stream(request, reply) : whole(request, reply),
    );
  };

  async function whole(request: QueryRequest, reply: FastifyReply) {
    const caller = callerOf(request, clientGone(reply));
    const answer = await answerQuestion(caller, questionOf(request));
    reply.headers(cacheHeaders(answer));
    return showAnswer(answer, request.correlationId);
  }

  async function stream(request: QueryRequest, reply: FastifyReply) {
    const gone = clientGone(reply);
    const events = createEventStream(reply, clock, gone);
    const tell = (event: AnswerEvent) => events.send(...showEvent(event));
    try {
      const answer = await answerQuestion(callerOf(request, gone), questionOf(request), tell);
      await events.send('done', showAnswer(answer, request.correlationId));
    } catch (error) {
      if (!events.isOpen) throw error;
      if (!gone.aborted) await events.send('error', problemOf(error, request.correlationId));
    } finally {
      events.end();
    }
    return reply;
  }
}

type QueryRequest = FastifyRequest & { body: z.output<typeof queryBody> };

function acceptsEvents(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').includes('text/event-stream');
}

function questionOf({ body, headers }: QueryRequest): Question {
  const { query, model, limit, filters } = body;
  return { query, model, limit, filters: filtersOf(filters), cache: cacheWishOf(headers) };
}

function showEvent(event: AnswerEvent): [string, object] {
  switch (event.kind) {
    case 'citation':
      return ['citation', { index: event.place, ...showCitation(event.citation) }];
    case 'restart':
      return ['restart', { reason: event.reason }];
    case 'text':
      return ['delta', { text: event.text, supported: event.supported }];
  }
}

/** As on model answers. A stream's headers have left before this is known; its last event names the tier. */
function cacheHeaders({ cache }: Answer): Record<string, string> {
  if (!cache) return {};
  const age = cache.state === 'miss' ? {} : { age: String(cache.ageSeconds) };
  return { 'x-gatehouse-cache': cache.state, 'x-gatehouse-cache-key': cache.key, ...age };
}

function showAnswer(answer: Answer, correlationId: string) {
  const { usage, costNanoUsd, warnings } = answer;
  return {
    answer: answer.text,
    citations: answer.citations.map(showCitation),
    sentences: answer.sentences.map((sentence) => ({ ...sentence, citations: [...sentence.citations] })),
    generated_by: answer.generatedBy,
    covered: answer.covered,
    confidence: answer.confidence,
    usage: {
      input_tokens: usage.inputTokens,
      output_tokens: usage.outputTokens,
      embedding_tokens: usage.embeddingTokens,
    },
    cost_usd: costNanoUsd === null ? null : costNanoUsd === 0n ? '0' : usdFromNano(costNanoUsd),
    ...(warnings.length > 0 && { warnings: [...warnings] }),
    correlation_id: correlationId,
  };
}

function showCitation({ documentId, title, start, end, text }: Citation) {
  return { document_id: documentId, title, start, end, text };
}
