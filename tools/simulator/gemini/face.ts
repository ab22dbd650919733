import { bearerKey } from '../openai/face.ts';
import type { Face } from '../provider.ts';
import type { ProviderError, RefusalKind } from '../provider-error.ts';

const shapes: Readonly<Record<RefusalKind, { readonly code: number; readonly status: string }>> = {
  'bad-request': { code: 400, status: 'INVALID_ARGUMENT' },
  'prompt-too-long': { code: 400, status: 'INVALID_ARGUMENT' },
  'wrong-key': { code: 400, status: 'INVALID_ARGUMENT' },
  'unknown-model': { code: 404, status: 'NOT_FOUND' },
  'unknown-path': { code: 404, status: 'NOT_FOUND' },
  'wrong-method': { code: 404, status: 'NOT_FOUND' },
  'too-large': { code: 400, status: 'INVALID_ARGUMENT' },
  'rate-limited': { code: 429, status: 'RESOURCE_EXHAUSTED' },
  overloaded: { code: 503, status: 'UNAVAILABLE' },
  'server-error': { code: 500, status: 'INTERNAL' },
};

/** The Gemini API around its answers: no request id, no limits in headers; when to come back stands in the body. */
export const geminiFace: Face = {
  headers: () => ({ 'server-timing': 'gfet4t7; dur=0', 'x-content-type-options': 'nosniff' }),
  credential(request) {
    const header = request.headers['x-goog-api-key'];
    if (header !== undefined) return [header].flat()[0];
    const query = new URL(request.url ?? '/', 'http://simulator').searchParams.get('key');
    return query ?? bearerKey(request);
  },
  refuse(error) {
    const told = geminiError(error);
    const headers = { 'content-type': 'application/json; charset=UTF-8' };
    return { status: told.error.code, headers, body: JSON.stringify(told) };
  },
  limits: () => ({}),
};

/** The error object, as it stands in a refusal and in a stream. */
export function geminiError(error: ProviderError): { error: { code: number } & Record<string, unknown> } {
  const { code, status } = shapes[error.kind];
  const details = detailsOf(error);
  return {
    error: {
      code: error.details.status ?? code,
      message: messageOf(error),
      status,
      ...(details.length > 0 && { details }),
    },
  };
}

function messageOf({ kind, message, details }: ProviderError): string {
  switch (kind) {
    case 'wrong-key':
      return 'API key not valid. Please pass a valid API key.';
    case 'unknown-model':
      return `models/${details.model} is not found for API version v1beta, or is not supported for this method.`;
    case 'prompt-too-long':
      return `The input token count (${details.tokens}) exceeds the maximum number of tokens allowed (${details.mostTokens}).`;
    case 'overloaded':
      return 'The model is overloaded. Please try again later.';
    case 'rate-limited':
      return `You exceeded your current quota. Please retry in ${details.retryAfterS}s.`;
    default:
      return message;
  }
}

function detailsOf({ kind, details, message }: ProviderError): object[] {
  const type = (name: string) => `type.googleapis.com/google.rpc.${name}`;
  switch (kind) {
    case 'wrong-key':
      return [
        {
          '@type': type('ErrorInfo'),
          reason: 'API_KEY_INVALID',
          domain: 'googleapis.com',
          metadata: { service: 'generativelanguage.googleapis.com' },
        },
      ];
    case 'rate-limited': {
      const quota = details.limitedBy === 'tokens' ? 'input_token_count' : 'requests';
      const quotaMetric = `generativelanguage.googleapis.com/generate_content_free_tier_${quota}`;
      return [
        { '@type': type('QuotaFailure'), violations: [{ quotaMetric }] },
        { '@type': type('RetryInfo'), retryDelay: `${details.retryAfterS ?? 0}s` },
      ];
    }
    case 'bad-request':
      if (details.param === undefined) return [];
      return [
        {
          '@type': type('BadRequest'),
          fieldViolations: [{ field: details.param, description: message }],
        },
      ];
    default:
      return [];
  }
}
