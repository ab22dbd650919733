import type { IncomingMessage } from 'node:http';
import type { Face } from '../provider.ts';
import type { ProviderError, RefusalKind } from '../provider-error.ts';
import type { RateLimitReading } from '../rate-limits.ts';

const statuses: Readonly<Record<RefusalKind, number>> = {
  'bad-request': 400,
  'prompt-too-long': 400,
  'wrong-key': 401,
  'unknown-model': 404,
  'unknown-path': 404,
  'wrong-method': 405,
  'too-large': 413,
  'rate-limited': 429,
  overloaded: 503,
  'server-error': 500,
};

const codes: Readonly<Partial<Record<RefusalKind, string>>> = {
  'prompt-too-long': 'context_length_exceeded',
  'wrong-key': 'invalid_api_key',
  'unknown-model': 'model_not_found',
  'rate-limited': 'rate_limit_exceeded',
};

/** The OpenAI API around its answers. */
export const openAiFace: Face = {
  headers: (requestId) => ({
    'x-request-id': requestId,
    'openai-version': '2020-10-01',
    'openai-processing-ms': '0',
  }),
  credential: bearerKey,
  refuse(error) {
    const { retryAfterS } = error.details;
    return {
      status: openAiStatus(error),
      headers: { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }) },
      body: JSON.stringify({ error: openAiError(error) }),
    };
  },
  limits: openAiLimits,
};

/** The key of `authorization: Bearer`. */
export function bearerKey(request: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/iu.exec(request.headers.authorization ?? '')?.[1];
}

export function openAiStatus({ kind, details }: ProviderError): number {
  return details.status ?? statuses[kind];
}

/** What stands under `error` in a refusal. */
export function openAiError(error: ProviderError): {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
} {
  const { kind, details, message } = error;
  const own = openAiStatus(error) >= 500 ? 'server_error' : 'invalid_request_error';
  return {
    message,
    type: kind === 'rate-limited' ? (details.limitedBy ?? 'requests') : own,
    param: details.param ?? null,
    code: codes[kind] ?? null,
  };
}

export function openAiLimits(reading: RateLimitReading): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': String(reading.requestsPerMinute),
    'x-ratelimit-limit-tokens': String(reading.tokensPerMinute),
    'x-ratelimit-remaining-requests': String(reading.requestsLeft),
    'x-ratelimit-remaining-tokens': String(reading.tokensLeft),
    'x-ratelimit-reset-requests': duration(reading.requestsResetMs),
    'x-ratelimit-reset-tokens': duration(reading.tokensResetMs),
  };
}

/** Milliseconds in the form OpenAI sends them: `840ms`, `2.5s`, `1m0s`. */
function duration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.ceil(milliseconds)}ms`;
  if (milliseconds < 60_000) return `${Math.round(milliseconds / 10) / 100}s`;
  return `${Math.floor(milliseconds / 60_000)}m${Math.round((milliseconds % 60_000) / 1_000)}s`;
}
