import type { Principal } from '../../access/index.ts';
import type { Provider, Route } from '../resolution.ts';
import type { BreakerState } from './breaker.ts';
import type { TargetHealth } from './target-health.ts';
import type { TargetStatus } from './target-record.ts';

export interface ProviderHealthDependencies {
  /** What the caller may see, as lists show it. */
  readonly providers: (principal: Principal) => readonly Provider[];
  readonly routes: (principal: Principal) => readonly Route[];
  readonly health: Pick<TargetHealth, 'statusOf'>;
}

/** A target as one caller may see it. */
export interface VisibleTarget {
  readonly provider: Provider;
  readonly model: string;
  /** Null: it was not used yet. */
  readonly status: TargetStatus | null;
  /** How much, how often and why is the business of whoever uses it, and the platform's providers are used by many. */
  readonly detailed: boolean;
}

/** More than a page of anything shows; nobody has as many. */
export const maxTargetsShown = 1_000;

const urgency: Readonly<Record<BreakerState, number>> = { open: 0, half_open: 1, closed: 2 };

/**
 * The targets that a caller may see, those that are not closed first: of their own providers every model that was used or
 * that a route leads to; of the platform's only the latter, as what others named is not theirs to know.
 */
export function visibleTargets(deps: ProviderHealthDependencies, principal: Principal): VisibleTarget[] {
  const routed = deps.routes(principal).flatMap((route) => route.tiers.flatMap((tier) => tier.targets));
  const targets = deps.providers(principal).flatMap((provider): VisibleTarget[] => {
    const detailed = provider.tenantId !== null || principal.role === 'owner';
    const used = new Map(deps.health.statusOf(provider).map((status) => [status.model, status]));
    const led = routed.filter((target) => target.provider === provider.name).map(({ model }) => model);
    const models = new Set(detailed ? [...led, ...used.keys()] : led);
    return [...models].map((model) => ({ provider, model, status: used.get(model) ?? null, detailed }));
  });
  const urgencyOf = ({ status }: VisibleTarget) => urgency[status?.state ?? 'closed'];
  return targets.sort((a, b) => urgencyOf(a) - urgencyOf(b));
}
