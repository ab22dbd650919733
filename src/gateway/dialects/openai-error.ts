import type { TranslatedError } from '../translation/translation.ts';

/** A provider's refusal as OpenAI's clients know it (https://platform.openai.com/docs/guides/error-codes). */
export function writeOpenAiError({ status, message, code }: TranslatedError): Buffer {
  const known = status < 500 && tooLong.test(message) ? 'context_length_exceeded' : code;
  return Buffer.from(
    JSON.stringify({ error: { message, type: errorType(status), param: null, code: known } }),
  );
}

/**
 * How Anthropic, Gemini and Bedrock say that a prompt is longer than the model takes. Clients of OpenAI's API shorten
 * it and try again when they see the code that OpenAI has for it.
 */
const tooLong =
  /prompt is too long|input is too long|too many input tokens|exceeds? the maximum number of tokens|exceed(?:s|ed)? (?:the )?(?:context|maximum context)/i;

function errorType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}
