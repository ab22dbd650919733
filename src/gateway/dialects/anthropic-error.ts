import type { TranslatedError } from '../translation/translation.ts';

/** Types of errors by HTTP status (https://platform.claude.com/docs/en/api/errors). */
const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** A provider's refusal as Anthropic's clients know it. */
export function anthropicError({ status, message }: Pick<TranslatedError, 'status' | 'message'>) {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message } };
}
