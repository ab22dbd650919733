import type { TenantFacts, Tier } from '../access/index.ts';
import type { Log } from '../platform/log.ts';
import type { SomeFigures, TierFigures } from './limit-figures.ts';
import type { LimitRule } from './limit-rules.ts';
import type { LimitsStore } from './limits.store.ts';
import { type TenantPolicy, tenantPolicy } from './policy.ts';

/**
 * Tiers and rules in memory, and each tenant's policy put together from them once, so that a request reads no table and
 * computes nothing. Changes arrive by notification; after a gap everything is read again.
 */
export interface PolicySnapshot {
  /** The same object for as long as nothing of it has changed or run out. */
  policyOf(tenant: TenantFacts, nowMs: number): TenantPolicy;
  /** What an owner has set, over the configuration. */
  setTiers(): ReadonlyMap<Tier, SomeFigures>;
  reload(): Promise<void>;
  /** @param change `tiers`, or the id of the tenant whose rules changed. */
  apply(change: string): Promise<void>;
}

interface Known {
  readonly policy: TenantPolicy;
  readonly tiers: ReadonlyMap<Tier, SomeFigures>;
  readonly rules: readonly LimitRule[];
}

const noRules: readonly LimitRule[] = [];

export function createPolicySnapshot(
  store: Pick<LimitsStore, 'tiers' | 'allRules' | 'rulesOf'>,
  configuredTiers: TierFigures,
  log: Log,
): PolicySnapshot {
  let tiers: ReadonlyMap<Tier, SomeFigures> = new Map();
  let rules = new Map<string, readonly LimitRule[]>();
  // A tenant's facts are a new object whenever they change, so what was made for the old ones goes with them.
  const policies = new WeakMap<TenantFacts, Known>();
  // A reload that was overtaken by a newer change must not put the old state back, so they run one after another.
  let last: Promise<void> = Promise.resolve();
  const inOrder = (work: () => Promise<void>): Promise<void> => {
    last = last.then(work, work);
    return last;
  };

  const reload = async () => {
    const [newTiers, allRules] = await Promise.all([store.tiers(), store.allRules()]);
    tiers = newTiers;
    rules = new Map(Map.groupBy(allRules, (rule) => rule.tenantId));
  };
  const apply = async (change: string) => {
    if (change === 'tiers') {
      tiers = await store.tiers();
      return;
    }
    const ofTenant = await store.rulesOf(change);
    if (ofTenant.length > 0) rules.set(change, ofTenant);
    else rules.delete(change);
  };

  return {
    policyOf(tenant, nowMs) {
      const ofTenant = rules.get(tenant.id) ?? noRules;
      const known = policies.get(tenant);
      if (known !== undefined && known.tiers === tiers && known.rules === ofTenant) {
        const { policy } = known;
        if (nowMs >= policy.fromMs && nowMs < policy.untilMs) return policy;
      }
      const policy = tenantPolicy(tenant, { configuredTiers, setTiers: tiers, rules: ofTenant }, nowMs);
      policies.set(tenant, { policy, tiers, rules: ofTenant });
      return policy;
    },
    setTiers: () => tiers,
    reload: () => inOrder(reload),
    apply: (change) =>
      inOrder(() =>
        apply(change).catch((error) => {
          log.warn(
            { err: error, change },
            'a change of limits could not be read; it is read again after the next gap',
          );
        }),
      ),
  };
}
