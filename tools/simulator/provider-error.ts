/** What a provider can refuse a call for, in no provider's words. */
export type RefusalKind =
  | 'bad-request'
  | 'prompt-too-long'
  | 'wrong-key'
  | 'unknown-model'
  | 'unknown-path'
  | 'wrong-method'
  | 'too-large'
  | 'rate-limited'
  | 'overloaded'
  | 'server-error';

export interface RefusalDetails {
  /** The field of the request that is at fault. */
  readonly param?: string;
  /** A status other than the one the provider gives this kind. */
  readonly status?: number;
  /** Seconds until a call may be tried again, at least 0; only with `rate-limited` and `overloaded`. */
  readonly retryAfterS?: number;
  readonly limitedBy?: 'requests' | 'tokens';
  readonly model?: string;
  /** With `prompt-too-long`: what was counted and what is taken at most. */
  readonly tokens?: number;
  readonly mostTokens?: number;
}

/** A refusal; each wire format gives it its own status, headers and body. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly kind: RefusalKind;
  readonly details: RefusalDetails;

  constructor(kind: RefusalKind, message: string, details: RefusalDetails = {}) {
    super(message);
    this.kind = kind;
    this.details = details;
  }
}

/** A request the provider cannot take; `param` names the field. */
export function invalidRequest(message: string, param?: string): ProviderError {
  return new ProviderError('bad-request', message, { ...(param !== undefined && { param }) });
}

/** A missing or wrong key. The key itself is not repeated. */
export function wrongKey(): ProviderError {
  return new ProviderError('wrong-key', 'Incorrect or missing API key.');
}

/** A model that is not in the configured list. */
export function unknownModel(model: string): ProviderError {
  return new ProviderError(
    'unknown-model',
    `The model '${model}' does not exist or you have no access to it.`,
    {
      model,
    },
  );
}

/** A path or method that is not served. */
export function unknownPath(
  kind: 'unknown-path' | 'wrong-method',
  method: string,
  path: string,
): ProviderError {
  return new ProviderError(kind, `Nothing is served at ${method} ${path}.`);
}

/** A prompt longer than the model's context window. */
export function promptTooLong(tokens: number, mostTokens: number): ProviderError {
  const message = `The prompt has ${tokens} tokens; this model takes at most ${mostTokens}.`;
  return new ProviderError('prompt-too-long', message, { param: 'messages', tokens, mostTokens });
}

/** A limit that is used up, to be tried again after whole seconds (rounded up). */
export function rateLimited(
  retryAfterS: number,
  limitedBy: 'requests' | 'tokens' = 'requests',
): ProviderError {
  const seconds = Math.max(0, Math.ceil(retryAfterS));
  return new ProviderError('rate-limited', `Rate limit on ${limitedBy} reached. Try again in ${seconds} s.`, {
    retryAfterS: seconds,
    limitedBy,
  });
}
