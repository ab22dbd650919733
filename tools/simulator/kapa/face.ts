import type { Face } from '../provider.ts';
import { invalidRequest, ProviderError, type RefusalKind } from '../provider-error.ts';

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

/** The Kapa API around its answers. */
export const kapaFace: Face = {
  headers: () => ({ 'x-content-type-options': 'nosniff', allow: 'POST, OPTIONS' }),
  credential: (request) => [request.headers['x-api-key']].flat()[0],
  check(request) {
    const accept = request.headers.accept ?? '*/*';
    // Its streams are not server-sent events, and it refuses those who ask for them.
    if (!/\*\/\*|application\/(?:json|\*)/u.test(accept)) {
      throw new ProviderError('bad-request', 'Could not satisfy the request Accept header.', { status: 406 });
    }
  },
  refuse(error) {
    const { kind, details } = error;
    const { retryAfterS } = details;
    return {
      status: details.status ?? statuses[kind],
      headers: { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }) },
      body: JSON.stringify(bodyOf(error)),
    };
  },
  limits: () => ({}),
};

function bodyOf({ kind, message, details }: ProviderError): object {
  if (kind === 'bad-request' && details.param) return { [details.param]: [message] };
  return { detail: messageOf(kind, message, details.retryAfterS) };
}

function messageOf(kind: RefusalKind, message: string, retryAfterS: number | undefined): string {
  switch (kind) {
    case 'wrong-key':
      return 'Authentication credentials were not provided or are not valid.';
    case 'unknown-model':
    case 'unknown-path':
      return 'Not found.';
    case 'rate-limited':
      return `Request was throttled. Expected available in ${retryAfterS} seconds.`;
    default:
      return message;
  }
}

export function missing(param: string): ProviderError {
  return invalidRequest('This field is required.', param);
}
