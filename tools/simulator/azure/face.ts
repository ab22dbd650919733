import { bearerKey, openAiError, openAiStatus } from '../openai/face.ts';
import type { Face } from '../provider.ts';
import type { ProviderError } from '../provider-error.ts';

/** Azure OpenAI around its answers: refusals made before the model have codes of Azure's own. */
export const azureFace: Face = {
  headers: (requestId) => ({
    'apim-request-id': requestId,
    'x-request-id': requestId,
    'x-ms-region': 'Sweden Central',
    'x-ms-rai-invoked': 'true',
  }),
  credential: (request) => [request.headers['api-key']].flat()[0] ?? bearerKey(request),
  refuse(error) {
    const { retryAfterS } = error.details;
    const waiting = retryAfterS !== undefined && {
      'retry-after': String(retryAfterS),
      'retry-after-ms': String(retryAfterS * 1_000),
    };
    return {
      status: openAiStatus(error),
      headers: { ...waiting },
      body: JSON.stringify({ error: azureError(error) }),
    };
  },
  limits: (reading) => ({
    'x-ratelimit-limit-requests': String(reading.requestsPerMinute),
    'x-ratelimit-limit-tokens': String(reading.tokensPerMinute),
    'x-ratelimit-remaining-requests': String(reading.requestsLeft),
    'x-ratelimit-remaining-tokens': String(reading.tokensLeft),
    'x-ratelimit-reset-requests': String(Math.ceil(reading.requestsResetMs / 1_000)),
    'x-ratelimit-reset-tokens': String(Math.ceil(reading.tokensResetMs / 1_000)),
  }),
};

function azureError(error: ProviderError): object {
  const { kind, details, message } = error;
  switch (kind) {
    case 'wrong-key':
      return {
        code: '401',
        message:
          'Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.',
      };
    case 'unknown-model':
      return {
        code: 'DeploymentNotFound',
        message: 'The API deployment for this resource does not exist.',
      };
    case 'unknown-path':
    case 'wrong-method':
      return { code: '404', message: 'Resource not found' };
    case 'rate-limited':
      return {
        code: '429',
        message: `Requests have exceeded the ${details.limitedBy ?? 'call'} rate limit of your pricing tier. Please retry after ${details.retryAfterS} seconds.`,
      };
    case 'overloaded':
      return { code: 'ServiceUnavailable', message };
    case 'server-error':
      return { code: 'InternalServerError', message };
    default:
      return openAiError(error);
  }
}
