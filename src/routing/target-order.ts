import type { TokenUsage } from '../costs/index.ts';
import { rendezvousNumber } from './rendezvous.ts';
import type { Resolution, Strategy, Target } from './resolution.ts';
import { drawInTurn, drawOne } from './weighted-draw.ts';

/** What of a call decides where it goes. Asked for only where there is a choice. */
export interface CallFacts {
  readonly tenantId: string;
  /** Calls of one session go to one target, where the route's strategy is sticky. */
  session(): string;
  /** Tokens that the call is expected to use. */
  usage(): TokenUsage;
  /** The tier to begin with; the others follow in their order. */
  readonly prefer?: PreferredTier | undefined;
}

export type PreferredTier = 'economical';

/** What is known of targets. */
export interface TargetKnowledge {
  /** Running mean of the time to the first token, milliseconds; null while none is known. */
  latencyMs(target: Target): number | null;
  /** What these tokens would cost the tenant there, nano-dollars; null without a price. */
  estimate(target: Target, usage: TokenUsage, tenantId: string): bigint | null;
}

/** Share of calls that try a target first whose latency nobody knows yet. */
export const unknownShare = 0.1;
/** Share of calls that try another target than the fastest, so that one which got faster is found out. */
export const slowerShare = 0.02;

/** @returns the only target there is to choose, as the list that it stands in; null when there is a choice. */
export function onlyTarget(resolution: Resolution): readonly Target[] | null {
  const [first] = resolution.tiers;
  return first && first.length === 1 && resolution.tiers.length === 1 ? first : null;
}

/**
 * The order in which a call tries its targets: tier by tier, and within a tier by the route's strategy.
 * @param fraction gives a number in [0, 1).
 */
export function targetsInOrder(
  resolution: Resolution,
  facts: CallFacts,
  knowledge: TargetKnowledge,
  fraction: () => number,
): readonly Target[] {
  const only = onlyTarget(resolution);
  if (only) return only;
  const order: Target[] = [];
  for (const tier of tiersInOrder(resolution, facts.prefer)) {
    if (tier.length === 1) order.push(...tier);
    else order.push(...tierInOrder(tier, resolution.strategy, facts, knowledge, fraction));
  }
  return order;
}

/** @returns the tiers in their order, the preferred one first when there is such a one. */
export function tiersInOrder(
  { tiers }: Resolution,
  prefer: PreferredTier | undefined,
): readonly (readonly Target[])[] {
  if (prefer === undefined) return tiers;
  const preferred = tiers.find(([target]) => target?.tier === prefer);
  return preferred ? [preferred, ...tiers.filter((tier) => tier !== preferred)] : tiers;
}

function tierInOrder(
  tier: readonly Target[],
  strategy: Strategy,
  facts: CallFacts,
  knowledge: TargetKnowledge,
  fraction: () => number,
): readonly Target[] {
  switch (strategy) {
    case 'priority':
      return tier;
    case 'weighted':
      return drawInTurn(tier, fraction);
    // Sorting keeps what is equal in its order, so weights decide between targets that a number does not tell apart.
    case 'lowest_cost':
      return byCost(drawInTurn(tier, fraction), facts, knowledge);
    case 'least_latency':
      return explored(byLatency(drawInTurn(tier, fraction), knowledge), knowledge, fraction);
    case 'sticky':
      return bySession(tier, facts);
  }
}

/** @returns a sorted copy: cheapest first, those without a price last. */
export function byCost(tier: readonly Target[], facts: CallFacts, { estimate }: TargetKnowledge): Target[] {
  const usage = facts.usage();
  return sorted(tier, (target) => estimate(target, usage, facts.tenantId));
}

/** @returns a sorted copy: fastest first, those that nobody knows last. */
export function byLatency(tier: readonly Target[], { latencyMs }: TargetKnowledge): Target[] {
  return sorted(tier, latencyMs);
}

/** @returns a sorted copy: the session's own target first, then the one it would have without that, and so on. */
export function bySession(tier: readonly Target[], facts: CallFacts): Target[] {
  const session = sessionOfTenant(facts);
  return sorted(tier, (target) => rendezvousNumber(session, target));
}

/** Two tenants may use the same names for their sessions. */
export function sessionOfTenant(facts: CallFacts): string {
  return `${facts.tenantId}\n${facts.session()}`;
}

function sorted<Rank extends number | bigint>(
  targets: readonly Target[],
  rankOf: (target: Target) => Rank | null,
): Target[] {
  return targets
    .map((target) => ({ target, rank: rankOf(target) }))
    .sort(({ rank: a }, { rank: b }) => {
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return a < b ? -1 : Number(a > b);
    })
    .map(({ target }) => target);
}

/**
 * Now and then another target than the fastest known one goes first: one that nobody knows, as long as there is one,
 * else one of the slower ones. The fastest one comes right after it.
 */
function explored(order: Target[], { latencyMs }: TargetKnowledge, fraction: () => number): Target[] {
  const [fastest] = order;
  if (!fastest || latencyMs(fastest) === null) return order;
  const unknown = order.filter((target) => latencyMs(target) === null);
  if (fraction() >= (unknown.length > 0 ? unknownShare : slowerShare)) return order;
  const candidates = unknown.length > 0 ? unknown : order.slice(1);
  const chosen = candidates[drawOne(candidates, fraction)];
  return chosen ? [chosen, ...order.filter((target) => target !== chosen)] : order;
}
