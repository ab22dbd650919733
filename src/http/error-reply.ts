import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { DialectName } from '../gateway/index.ts';
import { isLoss } from '../platform/database/expect-losses.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import { errorTable } from './error-table.ts';

/**
 * Answers with the error in the shape of the surface that was called: the dialect's own under /v1, a problem
 * document (RFC 9457) elsewhere. What is not an AppError becomes a plain 500 that tells only the correlation id.
 * @returns the error as it was understood, for the log.
 */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): AppError {
  const known = understand(error);
  const row = errorTable[known.code];
  if (known.retryAfterSeconds !== undefined) reply.header('retry-after', String(known.retryAfterSeconds));
  if (known.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer realm="gatehouse"');
  // 499 is for the log: nobody is left to read it, and the status line must stay a standard one.
  reply.code(row.status);
  const { type, shape } = shapes[shapeFor(request)];
  // Where Anthropic's clients look for it; the others have the correlation id.
  if (shape === anthropicError) reply.header('request-id', request.correlationId);
  reply.type(type).send(JSON.stringify(shape(known, request.correlationId)));
  return known;
}

/** What errors look like: as one of the dialects under /v1, as problem documents elsewhere. */
const shapes = {
  openai: { type: 'application/json', shape: openaiError },
  anthropic: { type: 'application/json', shape: anthropicError },
  problem: { type: 'application/problem+json', shape: problem },
} as const;

/** A route of a dialect says so; the others under /v1 go by what Anthropic's clients send with every request. */
function shapeFor(request: FastifyRequest): keyof typeof shapes {
  const { dialect } = request.routeOptions.config;
  if (dialect !== undefined) return dialects[dialect].shape;
  if (!isModelDialect(request.url)) return 'problem';
  return request.headers['anthropic-version'] === undefined ? 'openai' : 'anthropic';
}

export function isModelDialect(url: string): boolean {
  return url.startsWith('/v1/') || url === '/v1';
}

/** The problem document of whatever was thrown, for one that comes when a stream has begun. */
export function problemOf(error: unknown, correlationId: string) {
  return problem(understand(error), correlationId);
}

function problem(error: AppError, correlationId: string) {
  const row = errorTable[error.code];
  return {
    type: `urn:gatehouse:problem:${error.code}`,
    title: row.title,
    status: row.status,
    code: error.code,
    detail: shownDetail(error),
    correlation_id: correlationId,
    ...(error.errors.length > 0 ? { errors: error.errors } : {}),
    ...error.extra,
  };
}

/** The event that ends a stream of this dialect with an error, as its official clients know it. */
export function streamError(dialect: DialectName, error: AppError, correlationId: string): string {
  return dialects[dialect].event(error, correlationId);
}

interface DialectErrors {
  readonly shape: 'openai' | 'anthropic';
  event(error: AppError, correlationId: string): string;
}

const openai: DialectErrors = {
  shape: 'openai',
  event: (error, id) => `data: ${JSON.stringify(openaiError(error, id))}\n\n`,
};

const openaiResponses: DialectErrors = {
  shape: 'openai',
  event(error, id) {
    const said = openaiError(error, id);
    // The members that the API's reference names, and beside them those that make its official clients raise it.
    const { message, code, param } = said.error;
    return `event: error\ndata: ${JSON.stringify({ type: 'error', code, message, param, ...said })}\n\n`;
  },
};

const anthropic: DialectErrors = {
  shape: 'anthropic',
  event: (error, id) => `event: error\ndata: ${JSON.stringify(anthropicError(error, id))}\n\n`,
};

const dialects: Readonly<Record<DialectName, DialectErrors>> = {
  'openai-chat': openai,
  'openai-responses': openaiResponses,
  'openai-embeddings': openai,
  'anthropic-messages': anthropic,
  'anthropic-count-tokens': anthropic,
};

/** The error object of Anthropic's API; `details` is where its clients look for a code of their own for each error. */
function anthropicError(error: AppError, correlationId: string) {
  return {
    type: 'error',
    error: {
      type: errorTable[error.code].anthropicType,
      message: shownDetail(error),
      details: {
        error_code: error.code,
        ...(error.errors.length > 0 ? { errors: error.errors } : {}),
        ...error.extra,
      },
    },
    request_id: correlationId,
  };
}

/** The error object of the OpenAI API, which its official clients parse. */
function openaiError(error: AppError, correlationId: string) {
  return {
    error: {
      message: shownDetail(error),
      type: errorTable[error.code].openaiType,
      param: error.errors[0]?.path ?? null,
      code: error.code === 'unauthenticated' ? 'invalid_api_key' : error.code,
      correlation_id: correlationId,
      ...error.extra,
    },
  };
}

/** 5xx of our own making tell nothing of the inside. */
function shownDetail(error: AppError): string {
  return error.code === 'internal'
    ? 'Something went wrong on our side. Report the correlation id to the operator.'
    : error.message;
}

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'bad_request',
  404: 'not_found',
  413: 'too_large',
  415: 'unsupported_media_type',
  429: 'rate_limited',
  503: 'overloaded',
};

function understand(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map((issue) => ({
      path: issue.instancePath.replace(/^\//, '').replaceAll('/', '.') || error.validationContext || 'body',
      message: issue.message ?? 'is invalid',
    }));
    const first = errors[0];
    return new AppError('invalid', first ? `${first.path}: ${first.message}` : 'The input is invalid.', {
      errors,
      cause: error,
    });
  }
  const { statusCode, code, message } = error as Partial<FastifyError>;
  // Fastify's own refusals: malformed JSON, too large a body, an unknown content type.
  if (
    typeof code === 'string' &&
    (code.startsWith('FST_') || code.startsWith('HPE_')) &&
    statusCode &&
    statusCode < 500
  ) {
    return new AppError(codeOfStatus[statusCode] ?? 'bad_request', plainWords(code, message ?? ''), {
      cause: error,
    });
  }
  // secure-json-parse and the URL parser throw plain errors that carry a status.
  if (statusCode === 400)
    return new AppError('bad_request', message ?? 'The request is malformed.', { cause: error });
  if (typeof code === 'string' && notStorable.has(code)) {
    const detail =
      'A text holds the character U+0000, or half of a character, which cannot be stored. Leave it out.';
    return new AppError('invalid', detail, { cause: error });
  }
  if (code === cancelledByTimeout) {
    const detail =
      'The database took longer over this than it may. Ask for less at once, or try again later.';
    return new AppError('dependency_down', detail, { cause: error, retryAfterSeconds: databaseBackSeconds });
  }
  if (isLoss(error)) {
    const detail = 'The database does not answer just now. Try again shortly.';
    return new AppError('dependency_down', detail, { cause: error, retryAfterSeconds: databaseBackSeconds });
  }
  return new AppError('internal', 'internal error', { cause: error });
}

/** PostgreSQL's codes for text that JSON can write and it cannot keep: in a value, and in a value of jsonb. */
const notStorable: ReadonlySet<string> = new Set(['22021', '22P05']);
/** Its code for a statement that was stopped, which here means by its timeout. */
const cancelledByTimeout = '57014';

/** The embedded server is back within a second or two; a managed one that fails over takes longer. */
const databaseBackSeconds = 2;

function plainWords(code: string, message: string): string {
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return 'The request body is larger than this route takes.';
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return 'This content type is not understood here. Send application/json, or multipart/form-data for files.';
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return 'The body is empty, but its content type says JSON.';
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return 'The body is not valid JSON. Check quotes, commas and braces.';
    default:
      return message;
  }
}
