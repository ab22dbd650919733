/** The provider's own limits, per credential: refilled steadily over a minute. */
export interface RateLimitOptions {
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  /** When false the limits are only told in headers, never enforced. */
  readonly enforced: boolean;
}

/** What one credential may still do, for the provider to tell in its own headers. */
export interface RateLimitReading {
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly requestsLeft: number;
  readonly tokensLeft: number;
  /** Milliseconds until all requests and all tokens are there again. */
  readonly requestsResetMs: number;
  readonly tokensResetMs: number;
  /** What ran out and for how long, when the call must be refused. */
  readonly exceeded?: { readonly limitedBy: 'requests' | 'tokens'; readonly retryAfterS: number };
}

export interface RateLimits {
  /** Counts one call of some prompt tokens for a credential and says what is left. */
  take(credential: string, tokens: number): RateLimitReading;
  reset(): void;
}

interface Allowance {
  requests: number;
  tokens: number;
  readAt: number;
}

const maxCredentials = 1_000;

/** Two token buckets per credential, at most 1,000 credentials; past that the longest unused is forgotten. */
export function createRateLimits(options: RateLimitOptions, now: () => number): RateLimits {
  const allowances = new Map<string, Allowance>();

  function refilled(credential: string): Allowance {
    const readAt = now();
    const known = allowances.get(credential);
    allowances.delete(credential);
    const allowance = known ?? {
      requests: options.requestsPerMinute,
      tokens: options.tokensPerMinute,
      readAt,
    };
    const minutes = (readAt - allowance.readAt) / 60_000;
    allowance.requests = Math.min(
      options.requestsPerMinute,
      allowance.requests + minutes * options.requestsPerMinute,
    );
    allowance.tokens = Math.min(
      options.tokensPerMinute,
      allowance.tokens + minutes * options.tokensPerMinute,
    );
    allowance.readAt = readAt;
    allowances.set(credential, allowance);
    if (allowances.size > maxCredentials) allowances.delete(allowances.keys().next().value ?? '');
    return allowance;
  }

  return {
    take(credential, tokens) {
      const allowance = refilled(credential);
      const lacksRequests = allowance.requests < 1;
      if (options.enforced && (lacksRequests || allowance.tokens < tokens)) {
        const missing = lacksRequests
          ? (1 - allowance.requests) / options.requestsPerMinute
          : (tokens - allowance.tokens) / options.tokensPerMinute;
        const limitedBy = lacksRequests ? 'requests' : 'tokens';
        return { ...readingOf(options, allowance), exceeded: { limitedBy, retryAfterS: missing * 60 } };
      }
      allowance.requests = Math.max(0, allowance.requests - 1);
      allowance.tokens = Math.max(0, allowance.tokens - tokens);
      return readingOf(options, allowance);
    },
    reset: () => allowances.clear(),
  };
}

function readingOf(options: RateLimitOptions, left: Allowance): RateLimitReading {
  const { requestsPerMinute, tokensPerMinute } = options;
  return {
    requestsPerMinute,
    tokensPerMinute,
    requestsLeft: Math.floor(left.requests),
    tokensLeft: Math.floor(left.tokens),
    requestsResetMs: (1 - left.requests / requestsPerMinute) * 60_000,
    tokensResetMs: (1 - left.tokens / tokensPerMinute) * 60_000,
  };
}
