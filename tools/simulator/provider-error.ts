/**
 * A refusal in the shape the OpenAI API gives it: `{ error: { message, type, param, code } }` with a status.
 * `headers` are sent along, such as `retry-after`.
 */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    details: {
      type?: string;
      param?: string;
      code?: string;
      headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.type = details.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? {};
  }

  /** The JSON body of the reply. */
  body(): string {
    const { message, type, param, code } = this;
    return JSON.stringify({ error: { message, type, param, code } });
  }
}

/** 400 for a request the provider cannot take; `param` names the field. */
export function invalidRequest(message: string, param?: string, code?: string): ProviderError {
  return new ProviderError(400, message, { ...(param && { param }), ...(code && { code }) });
}

/** 401 for a missing or wrong key. The key itself is not repeated. */
export function wrongKey(): ProviderError {
  return new ProviderError(401, 'Incorrect or missing API key.', { code: 'invalid_api_key' });
}

/** 404 for a model that is not in the configured list. */
export function unknownModel(model: string): ProviderError {
  return new ProviderError(404, `The model '${model}' does not exist or you have no access to it.`, {
    code: 'model_not_found',
  });
}

/** 404 or 405 for a path or method that this provider does not serve. */
export function unknownPath(status: 404 | 405, method: string, path: string): ProviderError {
  return new ProviderError(status, `Nothing is served at ${method} ${path}.`);
}

/** 429 with `retry-after` in whole seconds, rounded up, at least 0. */
export function rateLimited(
  retryAfterS: number,
  limitedBy: 'requests' | 'tokens' = 'requests',
): ProviderError {
  const seconds = Math.max(0, Math.ceil(retryAfterS));
  return new ProviderError(429, `Rate limit on ${limitedBy} reached. Try again in ${seconds} s.`, {
    type: limitedBy,
    code: 'rate_limit_exceeded',
    headers: { 'retry-after': String(seconds) },
  });
}
