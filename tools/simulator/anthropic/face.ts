import type { IncomingMessage } from 'node:http';
import { bearerKey } from '../openai/face.ts';
import type { Face } from '../provider.ts';
import { invalidRequest, type ProviderError, type RefusalKind } from '../provider-error.ts';
import type { RateLimitReading } from '../rate-limits.ts';

const shapes: Readonly<Record<RefusalKind, { readonly status: number; readonly type: string }>> = {
  'bad-request': { status: 400, type: 'invalid_request_error' },
  'prompt-too-long': { status: 400, type: 'invalid_request_error' },
  'wrong-key': { status: 401, type: 'authentication_error' },
  'unknown-model': { status: 404, type: 'not_found_error' },
  'unknown-path': { status: 404, type: 'not_found_error' },
  'wrong-method': { status: 405, type: 'invalid_request_error' },
  'too-large': { status: 413, type: 'request_too_large' },
  'rate-limited': { status: 429, type: 'rate_limit_error' },
  overloaded: { status: 529, type: 'overloaded_error' },
  'server-error': { status: 500, type: 'api_error' },
};

/** The Anthropic API around its answers. */
export const anthropicFace: Face = {
  headers: (requestId) => ({
    'request-id': requestId,
    'anthropic-organization-id': '00000000-0000-4000-8000-000000000000',
  }),
  credential: (request) => headerOf(request, 'x-api-key') ?? bearerKey(request),
  check(request) {
    if (headerOf(request, 'anthropic-version') === undefined) {
      throw invalidRequest('anthropic-version: header is required', 'anthropic-version');
    }
  },
  refuse(error, requestId) {
    const { retryAfterS } = error.details;
    return {
      status: error.details.status ?? shapes[error.kind].status,
      headers: { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }) },
      body: JSON.stringify({ ...anthropicError(error), request_id: requestId }),
    };
  },
  limits: anthropicLimits,
};

/** The error object, as it stands in a refusal and in a stream. */
export function anthropicError(error: ProviderError): { type: 'error'; error: object } {
  return { type: 'error', error: { type: shapes[error.kind].type, message: messageOf(error) } };
}

function messageOf({ kind, message, details }: ProviderError): string {
  switch (kind) {
    case 'wrong-key':
      return 'invalid x-api-key';
    case 'unknown-model':
      return `model: ${details.model}`;
    case 'prompt-too-long':
      return `prompt is too long: ${details.tokens} tokens > ${details.mostTokens} maximum`;
    case 'overloaded':
      return 'Overloaded';
    default:
      return message;
  }
}

/** Input tokens are what the simulator limits; output tokens are told with the same figures. */
function anthropicLimits(reading: RateLimitReading, now: number): Record<string, string> {
  const requestsReset = moment(now + reading.requestsResetMs);
  const tokens = {
    limit: String(reading.tokensPerMinute),
    remaining: String(reading.tokensLeft),
    reset: moment(now + reading.tokensResetMs),
  };
  const headers: Record<string, string> = {
    'anthropic-ratelimit-requests-limit': String(reading.requestsPerMinute),
    'anthropic-ratelimit-requests-remaining': String(reading.requestsLeft),
    'anthropic-ratelimit-requests-reset': requestsReset,
  };
  for (const kind of ['tokens', 'input-tokens', 'output-tokens']) {
    for (const [what, value] of Object.entries(tokens)) {
      headers[`anthropic-ratelimit-${kind}-${what}`] = value;
    }
  }
  return headers;
}

/** RFC 3339 without milliseconds. */
function moment(milliseconds: number): string {
  return new Date(Math.ceil(milliseconds / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
