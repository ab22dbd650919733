import type { TenantFacts, Tier } from '../access/index.ts';
import type { LimitFigures } from '../platform/limits-settings.ts';
import {
  areInForce,
  figuresInForce,
  figuresOfTier,
  type SomeFigures,
  type TierFigures,
} from './limit-figures.ts';
import { eachOfItsOwn, type LimitRule, type RuleScope } from './limit-rules.ts';

/** What limits a tenant from `fromMs` up to `untilMs`, when something in it begins or ends by the clock. */
export interface TenantPolicy {
  readonly figures: LimitFigures;
  /** At most two rules concern one subject: its own, and that for each one of its own. */
  rulesFor(scope: RuleScope, subject: string): readonly LimitRule[];
  has(scope: RuleScope): boolean;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What the platform and a tenant have set, as it is now. */
export interface PolicySource {
  readonly configuredTiers: TierFigures;
  readonly setTiers: ReadonlyMap<Tier, SomeFigures>;
  readonly rules: readonly LimitRule[];
}

/** Puts a tenant's policy together as it is at `nowMs`. What has run out counts for nothing from its very millisecond on. */
export function tenantPolicy(tenant: TenantFacts, source: PolicySource, nowMs: number): TenantPolicy {
  const { tier, limits } = tenant;
  const ofTier = figuresOfTier(tier, source.configuredTiers, { [tier]: source.setTiers.get(tier) ?? {} });
  const active = source.rules.filter((rule) => rule.expiresAt === null || nowMs < rule.expiresAt.getTime());
  const ends = active.flatMap(({ expiresAt }) => (expiresAt === null ? [] : [expiresAt.getTime()]));
  if (areInForce(limits, nowMs) && limits.expireAtMs !== null) ends.push(limits.expireAtMs);
  const bySubject = new Map<string, LimitRule[]>();
  const scopes = new Set<RuleScope>();
  for (const rule of active) {
    const key = `${rule.scope} ${rule.subject}`;
    bySubject.set(key, [...(bySubject.get(key) ?? []), rule]);
    scopes.add(rule.scope);
  }
  return {
    figures: figuresInForce(ofTier, limits, nowMs),
    rulesFor(scope, subject) {
      if (!scopes.has(scope)) return none;
      const own = bySubject.get(`${scope} ${subject}`) ?? none;
      const forEach = bySubject.get(`${scope} ${eachOfItsOwn}`) ?? none;
      return subject === eachOfItsOwn ? forEach : [...own, ...forEach];
    },
    has: (scope) => scopes.has(scope),
    // A clock that is set back may bring back what had run out.
    fromMs: nowMs,
    untilMs: Math.min(...ends, Number.POSITIVE_INFINITY),
  };
}

const none: readonly LimitRule[] = [];
