import type { Principal } from '../access/index.ts';
import { createBoundedCache } from '../platform/bounded-cache.ts';
import type { LimitedCall, LimitedRequest } from './limit-gate.ts';
import { eachOfItsOwn, type LimitRule } from './limit-rules.ts';
import {
  atOnce,
  type LimitScope,
  type NamedDemand,
  perDay,
  perMinute,
  perSecond,
  tokensPerDay,
} from './named-demand.ts';
import type { TenantPolicy } from './policy.ts';

const nothing: readonly NamedDemand[] = Object.freeze([]);
/** Weights that lists are kept for: there are four, and whoever sends others gets lists made for them. */
const weightsAtMost = 8;
/** Addresses whose demands are kept, for tenants that limit by address. */
const addressesAtMost = 1_000;

interface Lists {
  readonly policy: TenantPolicy;
  readonly requests: Map<number, readonly NamedDemand[]>;
  readonly queries: Map<number, readonly NamedDemand[]>;
}

/**
 * What callers must fit, put together once for each of them and each state of their tenant's policy. Requests of the same
 * caller get the same list.
 */
export function createDemandLists(policyOf: (principal: Principal) => TenantPolicy) {
  const lists = new WeakMap<Principal, Lists>();
  const addresses = new WeakMap<
    TenantPolicy,
    ReturnType<typeof createBoundedCache<string, readonly NamedDemand[]>>
  >();

  const listsOf = (principal: Principal): Lists => {
    const policy = policyOf(principal);
    const known = lists.get(principal);
    if (known?.policy === policy) return known;
    const made: Lists = { policy, requests: new Map(), queries: new Map() };
    lists.set(principal, made);
    return made;
  };

  const kept = (
    known: Map<number, readonly NamedDemand[]>,
    weight: number,
    make: () => readonly NamedDemand[],
  ): readonly NamedDemand[] => {
    const found = known.get(weight);
    if (found !== undefined) return found;
    const made = make();
    if (known.size < weightsAtMost) known.set(weight, made);
    return made;
  };

  /** Most tenants have no rules by address, and then there is nothing to add. */
  const withAddress = (
    policy: TenantPolicy,
    { ip, weight }: LimitedRequest,
    query: boolean,
    others: readonly NamedDemand[],
  ): readonly NamedDemand[] => {
    if (ip === null || !policy.has('ip')) return others;
    const known =
      addresses.get(policy) ?? createBoundedCache<string, readonly NamedDemand[]>(addressesAtMost);
    addresses.set(policy, known);
    const key = `${query ? 'query' : 'request'} ${weight} ${ip}`;
    let own = known.get(key);
    if (own === undefined) {
      own = ofRules(policy.rulesFor('ip', ip), ip, query, weight);
      known.set(key, own);
    }
    return own.length === 0 ? others : [...own, ...others];
  };

  return {
    ofRequest(request: LimitedRequest): readonly NamedDemand[] {
      const { principal, weight } = request;
      if (principal.internal) return nothing;
      const { policy, requests } = listsOf(principal);
      const others = kept(requests, weight, () => ofCaller(policy, principal, false, weight));
      return withAddress(policy, request, false, others);
    },

    ofQuery(request: LimitedRequest): readonly NamedDemand[] {
      const { principal, weight } = request;
      if (principal.internal) return nothing;
      const { policy, queries } = listsOf(principal);
      const others = kept(queries, weight, () => [
        ...ofCaller(policy, principal, true, weight),
        ...ofTenant(policy),
      ]);
      return withAddress(policy, request, true, others);
    },

    ofCall(principal: Principal, call: LimitedCall): readonly NamedDemand[] {
      const { policy } = listsOf(principal);
      const ofTokens = policy.figures.tokens_per_day;
      if (principal.internal)
        return ofTokens === null ? nothing : [tokensPerDay(tenant, ofTokens, call.tokens)];
      const demands: NamedDemand[] = [];
      for (const [scope, subject] of callersOf(principal)) {
        for (const rule of policy.rulesFor(scope, subject)) addTokens(demands, rule, subject, call.tokens);
      }
      if (ofTokens !== null) demands.push(tokensPerDay(tenant, ofTokens, call.tokens));
      if (call.route !== null)
        addOfCall(demands, policy.rulesFor('route', call.route), call.route, call.tokens);
      addOfCall(demands, policy.rulesFor('model', call.model), call.model, call.tokens);
      return demands.length === 0 ? nothing : demands;
    },
  };
}

const tenant = { scope: 'tenant', subject: null, counter: 'tenant', suffix: '' } as const;

function callersOf(principal: Principal): ['user' | 'key', string][] {
  const { userId, keyId } = principal;
  return userId === null
    ? [['key', keyId]]
    : [
        ['user', userId],
        ['key', keyId],
      ];
}

/** Per user and per key, both at once: the tier's requests for each, and the tenant's rules for them. */
function ofCaller(policy: TenantPolicy, principal: Principal, query: boolean, weight: number): NamedDemand[] {
  const { requests_per_minute: minute, requests_per_day: day } = policy.figures;
  return callersOf(principal).flatMap(([scope, subject]) => {
    const named = { scope, subject, counter: `${scope}:${subject}`, suffix: '' };
    const demands: NamedDemand[] = [];
    if (minute !== null) demands.push(perMinute(named, minute, weight));
    if (day !== null) demands.push(perDay(named, 'requests_per_day', day, weight));
    return [...demands, ...ofRules(policy.rulesFor(scope, subject), subject, query, weight)];
  });
}

function ofTenant({ figures }: TenantPolicy): NamedDemand[] {
  const demands: NamedDemand[] = [];
  const { queries_per_second: rate, burst, queries_per_day: day, concurrent } = figures;
  if (rate !== null && burst !== null) demands.push(perSecond(tenant, rate, burst));
  if (day !== null) demands.push(perDay(tenant, 'queries_per_day', day, 1));
  if (concurrent !== null) demands.push(atOnce(tenant, concurrent));
  return demands;
}

/** A rule's counters are its own, and for `*` each subject's own. */
function namedBy(rule: LimitRule, subject: string) {
  const suffix = rule.subject === eachOfItsOwn ? '-each' : '-own';
  return { scope: rule.scope as LimitScope, subject, counter: `rule:${rule.id}:${subject}`, suffix };
}

/** What rules want of a request, and of a query besides. */
function ofRules(
  rules: readonly LimitRule[],
  subject: string,
  query: boolean,
  weight: number,
): NamedDemand[] {
  const demands: NamedDemand[] = [];
  for (const rule of rules) {
    addRequests(demands, rule, subject, weight);
    if (query) addQueries(demands, rule, subject);
  }
  return demands;
}

/** What rules of a route or model want of a call: their requests and queries are its calls. */
function addOfCall(
  demands: NamedDemand[],
  rules: readonly LimitRule[],
  subject: string,
  tokens: number,
): void {
  for (const rule of rules) {
    addRequests(demands, rule, subject, 1);
    addQueries(demands, rule, subject);
    addTokens(demands, rule, subject, tokens);
  }
}

function addRequests(demands: NamedDemand[], rule: LimitRule, subject: string, weight: number): void {
  const { requests_per_minute: minute, requests_per_day: day } = rule.figures;
  const named = namedBy(rule, subject);
  if (minute != null) demands.push(perMinute(named, minute, weight));
  if (day != null) demands.push(perDay(named, 'requests_per_day', day, weight));
}

function addQueries(demands: NamedDemand[], rule: LimitRule, subject: string): void {
  const { queries_per_second: rate, burst, concurrent } = rule.figures;
  const named = namedBy(rule, subject);
  if (rate != null && burst != null) demands.push(perSecond(named, rate, burst));
  if (concurrent != null) demands.push(atOnce(named, concurrent));
}

function addTokens(demands: NamedDemand[], rule: LimitRule, subject: string, tokens: number): void {
  const { tokens_per_day: limit } = rule.figures;
  if (limit != null) demands.push(tokensPerDay(namedBy(rule, subject), limit, tokens));
}
