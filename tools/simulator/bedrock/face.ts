import { bearerKey } from '../openai/face.ts';
import type { Face } from '../provider.ts';
import type { ProviderError, RefusalKind } from '../provider-error.ts';
import { checkSignature, readAuthorization, testCredentials } from './signature.ts';

const shapes: Readonly<Record<RefusalKind, { readonly status: number; readonly type: string }>> = {
  'bad-request': { status: 400, type: 'ValidationException' },
  'prompt-too-long': { status: 400, type: 'ValidationException' },
  'wrong-key': { status: 403, type: 'UnrecognizedClientException' },
  'unknown-model': { status: 400, type: 'ValidationException' },
  'unknown-path': { status: 404, type: 'UnknownOperationException' },
  'wrong-method': { status: 405, type: 'UnknownOperationException' },
  'too-large': { status: 413, type: 'RequestEntityTooLargeException' },
  'rate-limited': { status: 429, type: 'ThrottlingException' },
  overloaded: { status: 503, type: 'ServiceUnavailableException' },
  'server-error': { status: 500, type: 'InternalServerException' },
};

/** Amazon Bedrock around its answers. It tells no limits, and when to come back only if a fault says so. */
export const bedrockFace: Face = {
  headers: (requestId) => ({ 'x-amzn-requestid': requestId }),
  credential: (request) => bearerKey(request) ?? readAuthorization(request)?.accessKeyId,
  accepts: (key) => key === testCredentials.accessKeyId,
  check(request, body) {
    if (bearerKey(request) === undefined) checkSignature(request, body);
  },
  refuse(error) {
    const { status, type } = shapes[error.kind];
    const { retryAfterS } = error.details;
    const name = error.kind === 'wrong-key' && error.details.param ? 'InvalidSignatureException' : type;
    return {
      status: error.details.status ?? status,
      headers: {
        'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
        ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
      },
      body: JSON.stringify({ message: messageOf(error) }),
    };
  },
  limits: () => ({}),
};

/** The name of an error inside a stream: that of its exception, its first letter small. */
export function exceptionTypeOf({ kind }: ProviderError): string {
  const { type } = shapes[kind];
  return `${type.charAt(0).toLowerCase()}${type.slice(1)}`;
}

export function messageOf({ kind, message, details }: ProviderError): string {
  switch (kind) {
    case 'wrong-key':
      return details.param ? message : 'The security token included in the request is invalid.';
    case 'unknown-model':
      return 'The provided model identifier is invalid.';
    case 'prompt-too-long':
      return `The model returned the following errors: prompt is too long: ${details.tokens} tokens > ${details.mostTokens} maximum`;
    case 'rate-limited':
      return `Too many ${details.limitedBy ?? 'requests'}, please wait before trying again.`;
    case 'overloaded':
      return 'Bedrock is unable to process your request.';
    default:
      return message;
  }
}
