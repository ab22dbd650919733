import type { ConcurrencyDemand, Demand, RateDemand, WindowDemand } from './counters/counters.ts';

export type LimitScope = 'ip' | 'user' | 'key' | 'tenant' | 'route' | 'model';

/** What a demand is about, in words for callers. */
export interface LimitDescription {
  /** The figure's name, as it is set: `requests_per_minute`. */
  readonly limit: string;
  readonly scope: LimitScope;
  /** Whom it limits within the scope: a key's id, a model's name; the tenant itself has none. */
  readonly subject: string | null;
  /** The figure. */
  readonly value: number;
  /** Units that are there when nothing is used; for a rate the burst. */
  readonly quota: number;
  /** In which the quota comes back, seconds; null: when a call ends. */
  readonly windowSeconds: number | null;
  /** Names it within one reply. */
  readonly name: string;
  /** Its member of `RateLimit-Policy`. */
  readonly policyItem: string;
}

/** A demand that knows what it is about. Engines see the demand only. */
export type NamedDemand = (RateDemand | WindowDemand | ConcurrencyDemand) & {
  readonly about: LimitDescription;
};

/** What the demand is about; undefined for those of budgets. */
export function describeLimit(demand: Demand): LimitDescription | undefined {
  return (demand as Partial<NamedDemand>).about;
}

interface Named {
  readonly scope: LimitScope;
  readonly subject: string | null;
  /** Names the counters, within the tenant. */
  readonly counter: string;
  /** Tells limits of rules from those of tiers: '' or a suffix. */
  readonly suffix: string;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;

export function perMinute(of: Named, limit: number, amount: number): NamedDemand {
  return windowed(of, 'requests_per_minute', minuteMs, limit, amount, false);
}

export function perDay(
  of: Named,
  figure: 'requests_per_day' | 'queries_per_day',
  limit: number,
  amount: number,
): NamedDemand {
  return windowed(of, figure, dayMs, limit, amount, false);
}

/** @param amount expected tokens, held until it is known how many they were. */
export function tokensPerDay(of: Named, limit: number, amount: number): NamedDemand {
  return windowed(of, 'tokens_per_day', dayMs, limit, amount, true);
}

export function perSecond(of: Named, rate: number, burst: number): NamedDemand {
  const windowSeconds = Math.ceil(burst / rate);
  return {
    kind: 'rate',
    counter: `${of.counter}:queries_per_second`,
    milliPerSecond: Math.round(rate * 1000),
    burst,
    amount: 1,
    about: described(of, 'queries_per_second', rate, burst, windowSeconds),
  };
}

export function atOnce(of: Named, limit: number): NamedDemand {
  return {
    kind: 'concurrent',
    counter: `${of.counter}:concurrent`,
    limit,
    about: described(of, 'concurrent', limit, limit, null),
  };
}

function windowed(
  of: Named,
  figure: string,
  windowMs: number,
  limit: number,
  amount: number,
  reserved: boolean,
): NamedDemand {
  return {
    kind: 'window',
    counter: `${of.counter}:${figure}`,
    windowMs,
    limit,
    amount,
    reserved,
    about: described(of, figure, limit, limit, windowMs / 1000),
  };
}

/**
 * `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-10 has it: a list of strings with a quota `q`, in `w` seconds,
 * of unit `qu`. The unit of tokens is our own word; requests, which need not be said, and concurrent requests are the draft's.
 */
function described(
  of: Named,
  limit: string,
  value: number,
  quota: number,
  windowSeconds: number | null,
): LimitDescription {
  const name = `${of.scope}-${limit.replaceAll('_', '-')}${of.suffix}`;
  const unit =
    limit === 'tokens_per_day' ? ';qu="tokens"' : windowSeconds === null ? ';qu="concurrent-requests"' : '';
  const window = windowSeconds === null ? '' : `;w=${windowSeconds}`;
  const policyItem = `"${name}";q=${quota}${unit}${window}`;
  return { limit, scope: of.scope, subject: of.subject, value, quota, windowSeconds, name, policyItem };
}
