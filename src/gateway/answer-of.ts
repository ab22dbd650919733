import { AppError } from '../platform/errors.ts';
import type { Target } from '../routing/index.ts';
import type { Answer, GeneratedBy, ModelCall, WholeAnswer } from './model-call.ts';
import { type Broken, type Headers, type Outcome, safeHeaders } from './outcome.ts';

/** The stream broke after its first byte left; what is to be said of it goes into the stream. */
export class StreamBroken extends AppError {
  /** The provider has said so in the stream already. */
  readonly told: boolean;
  readonly generatedBy: GeneratedBy;

  constructor(error: AppError, told: boolean, generatedBy: GeneratedBy) {
    super(error.code, error.message, { cause: error.cause });
    this.told = told;
    this.generatedBy = generatedBy;
  }
}

/**
 * @returns what the caller is given of the last attempt's outcome: the answer, or a refusal of the request itself.
 * @throws AppError in place of what cannot be shown as it is; a StreamBroken one once the stream has begun.
 */
export function answerOf(call: ModelCall, outcome: Outcome, target: Target): Answer {
  const generatedBy = { tier: target.tier, provider: target.provider.name, model: target.model };
  switch (outcome.kind) {
    case 'streamed':
      return { kind: 'streamed', tail: outcome.tail, error: null, generatedBy };
    case 'broken':
      throw brokenError(call, outcome, generatedBy);
    case 'whole':
      refuseUnshowable(outcome.status, target.provider.name);
      return {
        kind: 'whole',
        status: outcome.status,
        contentType: shownType(outcome.headers),
        headers: passedHeaders(outcome),
        body: outcome.body,
        generatedBy,
      };
  }
}

/** Throws in place of replies that would mislead the caller. */
function refuseUnshowable(status: number, name: string): void {
  if (status === 401 || status === 403) {
    // Passed on as it is, the caller would look for a mistake in a key of their own.
    throw new AppError(
      'upstream_rejected',
      `The provider "${name}" refused this server's credential (${status}). Check the provider's api_key and what it may do.`,
    );
  }
  if (status >= 300 && (status < 400 || status >= 500)) {
    throw new AppError('upstream_failed', `The provider "${name}" failed (${status}).`);
  }
}

function brokenError(call: ModelCall, outcome: Broken, by: GeneratedBy): AppError {
  const error = plainError(call, outcome, by.provider);
  return outcome.begun ? new StreamBroken(error, outcome.why === 'provider_error', by) : error;
}

function plainError(call: ModelCall, { why, cause, said }: Broken, name: string): AppError {
  const failed = (what: string) =>
    new AppError('upstream_failed', `The provider "${name}" ${what}`, { cause });
  switch (why) {
    case 'cancelled':
      return cancelledError(call, name);
    case 'connect_timeout':
    case 'first_byte_timeout':
    case 'idle_timeout':
      return new AppError('upstream_timeout', `The provider "${name}" did not answer in time.`, { cause });
    case 'total_timeout':
      return tookTooLong(name);
    case 'stopped':
      return new AppError('shutting_down', 'The server is stopping.', { cause });
    case 'blocked':
    case 'unsupported':
      return cause instanceof AppError ? cause : new AppError('internal', 'internal error', { cause });
    case 'too_large':
      return failed('sent a reply that is larger than is taken.');
    case 'malformed':
      return failed('sent a reply that cannot be read.');
    case 'not_a_reply':
      return failed('answered with something other than a reply of this API. Check its base_url.');
    case 'provider_error':
      return failed(`ended the stream with an error${ownWords(said)}`);
    case 'connection':
      return new AppError('upstream_failed', `The connection to the provider "${name}" failed.`, { cause });
  }
}

/** @throws AppError that says why the call was ended from outside. */
export function cancelledError(call: ModelCall, name: string): AppError {
  switch (call.cancellation.reason) {
    case 'timeout':
      return tookTooLong(name);
    case 'stopping':
      return new AppError('shutting_down', 'The server is stopping.', { retryAfterSeconds: 1 });
    default:
      return new AppError('client_gone', 'The client closed the connection.');
  }
}

function tookTooLong(name: string): AppError {
  return new AppError('upstream_timeout', `The provider "${name}" took longer than a call may take.`);
}

const maxOwnWords = 500;

/** The message of an error event, whatever its form around `"message"` is. */
function ownWords(said: string | null): string {
  const message = /"message"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(said ?? '')?.[1];
  if (message === undefined) return '.';
  try {
    return `: ${String(JSON.parse(message)).slice(0, maxOwnWords)}`;
  } catch {
    return '.';
  }
}

/** Only JSON keeps its type: a page from somewhere on the way must not be shown as one of ours. */
function shownType(headers: Headers): string {
  const type = String(headers['content-type'] ?? '');
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(type) ? type : 'text/plain; charset=utf-8';
}

function passedHeaders(outcome: Outcome & { kind: 'whole' }): WholeAnswer['headers'] {
  const safe = safeHeaders(outcome.headers);
  const retryAfter = outcome.headers['retry-after'];
  return typeof retryAfter === 'string' && outcome.status >= 400
    ? { ...safe, 'retry-after': retryAfter }
    : safe;
}
