import { AppError } from '../platform/errors.ts';
import type { Target } from '../routing/index.ts';
import { attempt, type Headers, type Outcome, safeHeaders } from './attempt.ts';
import type { CallAccount } from './call-account.ts';
import type { StreamGuard } from './hooks.ts';
import type { Answer, GeneratedBy, ModelCall, StreamSink, WholeAnswer } from './model-call.ts';
import type { Upstream } from './upstream.ts';

/**
 * Tries the targets in their order until one answers. One attempt each; the next one takes over only while the caller
 * has no byte yet, and only when another target may do better.
 * @returns the answer, or a provider's refusal of the request itself, which no other target would take either.
 * @throws AppError in place of what cannot be shown to the caller as it is; a StreamBroken one once the stream has begun.
 */
export async function tryTargets(
  upstream: Upstream,
  call: ModelCall,
  targets: readonly Target[],
  account: CallAccount,
  sink: StreamSink,
  guard: StreamGuard | null,
): Promise<Answer> {
  let last: { outcome: Outcome; target: Target } | null = null;
  for (const target of targets) {
    if (target.provider.keyProblem !== null) continue;
    account.attempts++;
    account.target = target;
    account.facts = null;
    account.mayBeCharged = false;
    const outcome = await attempt(upstream, call, target, account, sink, guard);
    last = { outcome, target };
    if (!mayTryAnother(call, outcome, account)) break;
  }
  if (!last) throw keysCannotBeOpened(targets);
  return answerOf(call, last.outcome, last.target, account);
}

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

function mayTryAnother(call: ModelCall, outcome: Outcome, account: CallAccount): boolean {
  switch (outcome.kind) {
    case 'streamed':
      return false;
    case 'broken':
      return !outcome.begun && outcome.why !== 'cancelled' && outcome.why !== 'blocked';
    case 'whole':
      if (outcome.status >= 300) return isOurProblem(outcome.status);
      account.facts = outcome.facts ?? call.dialect.readReply(outcome.body);
      return account.facts === null;
  }
}

/**
 * Refusals that are about the provider or our account with it: its failures, its limits, and our key, which another
 * target may not share. The others are about the request.
 */
function isOurProblem(status: number): boolean {
  return (
    status >= 500 || status === 401 || status === 403 || status === 408 || status === 429 || status < 400
  );
}

function answerOf(call: ModelCall, outcome: Outcome, target: Target, account: CallAccount): Answer {
  const generatedBy = { tier: target.tier, provider: target.provider.name, model: target.model };
  switch (outcome.kind) {
    case 'streamed':
      return { kind: 'streamed', tail: outcome.tail, error: null, generatedBy };
    case 'broken':
      throw brokenError(call, outcome, generatedBy);
    case 'whole':
      refuseUnshowable(outcome, target, account);
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
function refuseUnshowable(outcome: Outcome & { kind: 'whole' }, target: Target, account: CallAccount): void {
  const { status } = outcome;
  const name = target.provider.name;
  if (status === 401 || status === 403) {
    // Passed on as it is, the caller would look for a mistake in a key of their own.
    throw new AppError(
      'upstream_rejected',
      `The provider "${name}" refused this server's credential (${status}). Check the provider's api_key and what it may do.`,
    );
  }
  if (status >= 400 && status < 500) return;
  if (status >= 300) throw new AppError('upstream_failed', `The provider "${name}" failed (${status}).`);
  if (account.facts === null) {
    throw new AppError(
      'upstream_failed',
      `The provider "${name}" answered with something other than a reply of this API. Check its base_url.`,
    );
  }
}

function brokenError(call: ModelCall, outcome: Outcome & { kind: 'broken' }, by: GeneratedBy): AppError {
  const error = plainError(call, outcome, by.provider);
  return outcome.begun ? new StreamBroken(error, outcome.why === 'provider_error', by) : error;
}

function plainError(call: ModelCall, outcome: Outcome & { kind: 'broken' }, name: string): AppError {
  const { why, cause } = outcome;
  switch (why) {
    case 'cancelled':
      return cancelledError(call, name);
    case 'connect_timeout':
    case 'first_byte_timeout':
    case 'idle_timeout':
      return new AppError('upstream_timeout', `The provider "${name}" did not answer in time.`, { cause });
    case 'stopped':
      return new AppError('shutting_down', 'The server is stopping.', { cause });
    case 'blocked':
    case 'unsupported':
      return cause instanceof AppError ? cause : new AppError('internal', 'internal error', { cause });
    case 'too_large':
      return new AppError('upstream_failed', `The reply of the provider "${name}" is larger than is taken.`);
    case 'malformed':
      return new AppError('upstream_failed', `The provider "${name}" sent a reply that cannot be read.`, {
        cause,
      });
    case 'provider_error':
      return new AppError('upstream_failed', `The provider "${name}" ended the stream with an error.`);
    case 'connection':
      return new AppError('upstream_failed', `The connection to the provider "${name}" failed.`, { cause });
  }
}

function cancelledError(call: ModelCall, name: string): AppError {
  switch (call.cancellation.reason) {
    case 'timeout':
      return new AppError('upstream_timeout', `The provider "${name}" took longer than a call may take.`);
    case 'stopping':
      return new AppError('shutting_down', 'The server is stopping.', { retryAfterSeconds: 1 });
    default:
      return new AppError('client_gone', 'The client closed the connection.');
  }
}

function keysCannotBeOpened(targets: readonly Target[]): AppError {
  const names = [...new Set(targets.map((target) => `"${target.provider.name}"`))].join(', ');
  return new AppError(
    'dependency_down',
    `The stored key of ${names} cannot be opened. Start with the GATEHOUSE_MASTER_KEY that stored it, or set the provider up again.`,
  );
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
