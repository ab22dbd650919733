import type { TranslatedError } from '../translation/translation.ts';

/** A provider's refusal as OpenAI's clients know it (https://platform.openai.com/docs/guides/error-codes). */
export function writeOpenAiError({ status, message, code }: TranslatedError): Buffer {
  return Buffer.from(JSON.stringify({ error: { message, type: errorType(status), param: null, code } }));
}

function errorType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}
