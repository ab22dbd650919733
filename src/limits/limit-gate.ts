import type { Principal } from '../access/index.ts';
import type { AppError } from '../platform/errors.ts';
import type { Demand, DemandState, Refused } from './counters/counters.ts';

/** A request of a caller who is known. */
export interface LimitedRequest {
  readonly principal: Principal;
  /** The caller's address as the trusted proxies tell it, canonical (IPv6 as its /64); null: made in this process. */
  readonly ip: string | null;
  /** What it counts against limits of requests (LIM-2): 1, or more for heavy work. */
  readonly weight: number;
}

/** What of a model call limits look at. */
export interface LimitedCall {
  readonly route: string | null;
  readonly model: string;
  /** Expected tokens, input and output together; held until settled. */
  readonly tokens: number;
}

/**
 * What a request or call must fit, in order of precedence, for `Counters.admit` in the group of its tenant. Nothing is
 * counted here. An internal service's requests meet no limit (LIM-7): then the list is empty, but for tokens of calls.
 */
export interface LimitGate {
  /** Any API request: per IP, per user and per key. */
  demandsOfRequest(request: LimitedRequest): readonly Demand[];
  /** A model call or knowledge query: those of the request, and the tenant's queries a second, a day and at a time. */
  demandsOfQuery(request: LimitedRequest): readonly Demand[];
  /** What only a model call takes, within a query or on behalf of one: tokens a day, limits of route and model. */
  demandsOfCall(principal: Principal, call: LimitedCall): readonly Demand[];
  /** Whoever showed no valid credential: in the group `ip:<address>`. */
  demandsOfStranger(ip: string): readonly Demand[];
  /** 429 naming the limit, its scope and subject, with Retry-After. */
  refusal(demand: Demand, refused: Refused): AppError;
  /** `RateLimit`, `RateLimit-Policy`, `X-RateLimit-Limit`, `-Remaining` and `-Reset` (LIM-4). Budgets are left out. */
  headers(demands: readonly Demand[], states: readonly DemandState[]): Readonly<Record<string, string>>;
}
