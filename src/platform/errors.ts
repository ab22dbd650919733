/**
 * Every failure that a caller can be told about has a code. `http/error-table.ts` gives each code its status
 * and title; a code without a row there does not compile.
 */
export type ErrorCode =
  | 'bad_request'
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'too_large'
  | 'unsupported_media_type'
  | 'tenant_suspended'
  | 'second_factor_required'
  | 'model_not_found'
  | 'no_model_configured'
  | 'no_mail_configured'
  | 'overloaded'
  | 'dependency_down'
  | 'upstream_rejected'
  | 'upstream_failed'
  | 'upstream_timeout'
  | 'client_gone'
  | 'shutting_down'
  | 'rate_limited'
  | 'budget_exceeded'
  | 'internal'
  // Start-up failures: shown on the terminal by main.ts and `doctor`, never by a route.
  | 'config_invalid'
  | 'data_directory'
  | 'database_unavailable';

/** One field that is wrong: where it is in the input, and what to do about it. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

export interface AppErrorOptions {
  readonly cause?: unknown;
  readonly errors?: readonly FieldProblem[];
  /** Seconds after which trying again makes sense; becomes `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** Extra members of the problem document, safe to show to the caller. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/**
 * A failure with a stable code and a sentence that a person can act on. `detail` is shown to the caller:
 * it never holds secrets or internals. `cause` is for the log only.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldProblem[];
  readonly retryAfterSeconds: number | undefined;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.extra = options.extra ?? {};
  }
}

/** The one 404: used for what is absent and for what the caller may not know to exist. */
export function notFound(what: string): AppError {
  return new AppError('not_found', `There is no such ${what}, or you may not see it.`);
}
