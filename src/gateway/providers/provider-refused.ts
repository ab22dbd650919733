import { APICallError } from '@ai-sdk/provider';
import type { TranslatedError } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';

/** Longer words of a provider's are no explanation. */
const maxMessageLength = 2_000;

/** A provider answered with an error of its own. */
export class ProviderRefused extends Error implements TranslatedError {
  readonly status: number;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor(
    status: number,
    message: string,
    code: string | null,
    cause: unknown,
    headers?: Record<string, string>,
  ) {
    super(message.slice(0, maxMessageLength), { cause });
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/**
 * @param error what a provider package threw, or gave as the `error` part of a stream.
 * @returns null when the provider did not refuse: its reply could not be read, or never came.
 */
export function refusalBehind(error: unknown): ProviderRefused | null {
  if (error instanceof ProviderRefused) return error;
  const { statusCode, message, data, responseHeaders, responseBody } = recordOf(error);
  const words = typeof message === 'string' && message !== '' ? message : 'The provider failed.';
  if (typeof statusCode === 'number' && statusCode >= 300 && statusCode <= 599) {
    const headers = APICallError.isInstance(error) ? (responseHeaders as Record<string, string>) : undefined;
    const told = { ...retryAfterOf(responseBody), ...headers };
    return new ProviderRefused(statusCode, words, codeOf(data), error, told);
  }
  return null;
}

/**
 * Google says when to come back in the body, as a detail of the error
 * (https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
 */
function retryAfterOf(body: unknown): Record<string, string> {
  const seconds =
    typeof body === 'string' ? /"retryDelay":\s*"(\d{1,6}(?:\.\d+)?)s"/.exec(body)?.[1] : undefined;
  return seconds === undefined ? {} : { 'retry-after': String(Math.ceil(Number(seconds))) };
}

/** Providers say it as `error.code`, `error.type` or `error.status`; Bedrock as `type`. */
function codeOf(data: unknown): string | null {
  const outer = recordOf(data);
  const inner = recordOf(outer.error);
  const code = [inner.status, inner.code, inner.type, outer.type].find((value) => typeof value === 'string');
  return typeof code === 'string' ? code.slice(0, 200) : null;
}
