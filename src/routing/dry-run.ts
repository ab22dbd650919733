import { noUsage, type TokenUsage, usdFromNano } from '../costs/index.ts';
import type { TargetStatus } from './health/target-record.ts';
import { rendezvousNumber } from './rendezvous.ts';
import type { Resolution, Route, RouteCache, Strategy, Target } from './resolution.ts';
import type { RoutingSnapshot } from './routing-snapshot.ts';
import {
  byCost,
  byLatency,
  bySession,
  type CallFacts,
  type PreferredTier,
  sessionOfTenant,
  slowerShare,
  type TargetKnowledge,
  tiersInOrder,
  unknownShare,
} from './target-order.ts';

/** The wire formats that a call may come in, by the names that the gateway has for them. */
export const callDialects = [
  'openai-chat',
  'openai-responses',
  'openai-embeddings',
  'anthropic-messages',
  'anthropic-count-tokens',
] as const;
export type CallDialect = (typeof callDialects)[number];

/** How a call reaches a target: its bytes as they are, in the provider's own words, or not at all. */
export type Way = 'passed_through' | 'translated' | 'not_possible';

/** A call that nobody makes. */
export interface ImaginedCall {
  readonly tenantId: string;
  readonly model: string;
  readonly dialect: CallDialect;
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
  readonly session: string;
  readonly prefer: PreferredTier | undefined;
}

export interface DryRunDependencies {
  readonly snapshot: RoutingSnapshot;
  readonly knowledge: TargetKnowledge;
  readonly health: {
    admits(target: Target): boolean;
    status(target: Target): Pick<TargetStatus, 'state' | 'openUntil' | 'consecutiveFailures' | 'lastFailure'>;
  };
  readonly wayTo: (target: Target, dialect: CallDialect) => Way;
}

export interface ExplainedTarget {
  readonly target: Target;
  readonly way: Way;
  /** Why it would be passed over now; null: it would be tried. */
  readonly skipped: string | null;
  /** Its part of the weights of its tier, 0 to 1. */
  readonly share: number;
  readonly estimatedNanoUsd: bigint | null;
  readonly latencyMs: number | null;
  /** The number that put it where it is in its tier. */
  readonly decidedBy: { readonly number: DecidingNumber; readonly value: string | null };
}
export type DecidingNumber =
  | 'only_target'
  | 'position'
  | 'share'
  | 'latency_ms'
  | 'cost_usd'
  | 'session_hash';

export interface DryRun {
  /** Null: there is no such model. */
  readonly resolution: Resolution | null;
  /** Null: the call names provider and model, or nothing that there is. */
  readonly route: Route | null;
  readonly targets: readonly ExplainedTarget[];
  /** The first one that would be tried. */
  readonly chosen: ExplainedTarget | null;
  /** What is behind it, in sentences. */
  readonly reasons: readonly string[];
  /** What there is after the last target. */
  readonly afterwards: readonly {
    readonly tier: 'cached' | 'search_results';
    readonly explanation: string;
  }[];
}

/** Explains where a call would go now, and why. Nothing is asked of any provider, and nothing changes. */
export function dryRun(call: ImaginedCall, deps: DryRunDependencies): DryRun {
  const resolution = deps.snapshot.resolve(call.tenantId, call.model) ?? null;
  if (resolution === null) {
    const reasons = [`There is no model "${call.model}" that this tenant can name.`];
    return { resolution, route: null, targets: [], chosen: null, reasons, afterwards: [] };
  }
  const route =
    resolution.route === null ? null : (deps.snapshot.route(call.tenantId, resolution.route) ?? null);
  const usage: TokenUsage = {
    ...noUsage,
    inputTokens: call.inputTokens,
    outputTokens: call.dialect === 'openai-embeddings' ? 0 : call.maxOutputTokens,
  };
  const facts: CallFacts = {
    tenantId: call.tenantId,
    session: () => call.session,
    usage: () => usage,
    prefer: call.prefer,
  };
  const targets = tiersInOrder(resolution, call.prefer).flatMap((tier) =>
    likeliestOrder(tier, resolution.strategy, facts, deps.knowledge).map((target) =>
      explained(target, tier, resolution.strategy, facts, call.dialect, deps),
    ),
  );
  const chosen = targets.find(({ skipped }) => skipped === null) ?? null;
  return {
    resolution,
    route,
    targets,
    chosen,
    reasons: reasonsFor(call, resolution, route, chosen, deps.snapshot),
    afterwards: afterwardsOf(resolution.cache),
  };
}

/** The order without chance in it: where calls draw, the likelier one comes first. */
function likeliestOrder(
  tier: readonly Target[],
  strategy: Strategy,
  facts: CallFacts,
  knowledge: TargetKnowledge,
): readonly Target[] {
  const byWeight = () => [...tier].sort((a, b) => b.weight - a.weight);
  switch (strategy) {
    case 'priority':
      return tier;
    case 'weighted':
      return byWeight();
    case 'least_latency':
      return byLatency(byWeight(), knowledge);
    case 'lowest_cost':
      return byCost(byWeight(), facts, knowledge);
    case 'sticky':
      return bySession(tier, facts);
  }
}

function explained(
  target: Target,
  tier: readonly Target[],
  strategy: Strategy,
  facts: CallFacts,
  dialect: CallDialect,
  deps: DryRunDependencies,
): ExplainedTarget {
  const way = deps.wayTo(target, dialect);
  const share = target.weight / tier.reduce((total, { weight }) => total + weight, 0);
  const estimatedNanoUsd = deps.knowledge.estimate(target, facts.usage(), facts.tenantId);
  const latencyMs = deps.knowledge.latencyMs(target);
  const numbers: Record<Strategy, ExplainedTarget['decidedBy']> = {
    priority: { number: 'position', value: String(tier.indexOf(target) + 1) },
    weighted: { number: 'share', value: share.toFixed(4) },
    least_latency: { number: 'latency_ms', value: latencyMs === null ? null : latencyMs.toFixed(1) },
    lowest_cost: {
      number: 'cost_usd',
      value: estimatedNanoUsd === null ? null : usdFromNano(estimatedNanoUsd),
    },
    sticky: {
      number: 'session_hash',
      value: rendezvousNumber(sessionOfTenant(facts), target).toPrecision(6),
    },
  };
  return {
    target,
    way,
    skipped: skippedBecause(target, way, dialect, deps),
    share,
    estimatedNanoUsd,
    latencyMs,
    decidedBy: tier.length === 1 ? { number: 'only_target', value: null } : numbers[strategy],
  };
}

/** The same grounds on which a call passes a target over. */
function skippedBecause(
  target: Target,
  way: Way,
  dialect: CallDialect,
  { health }: DryRunDependencies,
): string | null {
  const { provider } = target;
  if (provider.keyProblem !== null) return `Its keys cannot be used: ${provider.keyProblem}`;
  if (way === 'not_possible')
    return `A provider of the kind "${provider.kind}" cannot be asked what ${dialect} asks.`;
  const { openUntil, consecutiveFailures, lastFailure, state } = health.status(target);
  if (openUntil !== null) {
    const last = lastFailure ? `, the last one: ${lastFailure.reason}` : '';
    return `Its breaker is open until ${openUntil.toISOString()}, after ${consecutiveFailures} failures in a row${last}.`;
  }
  if (health.admits(target)) return null;
  if (state === 'half_open')
    return 'Its breaker is half open: one call is trying out whether it is well again.';
  return `As many calls to "${provider.name}" are in flight from this instance as it may have.`;
}

const strategyReasons: Readonly<Record<Strategy, string>> = {
  priority: 'Within a tier the targets are tried as the route lists them.',
  weighted:
    'Within a tier the first target is drawn by weight for each call; the likelier one is shown first.',
  least_latency: `Within a tier the target with the least mean time to the first token comes first. ${unknownShare * 100} % of calls begin with one whose latency is not known, or ${slowerShare * 100} % with a slower one when all are.`,
  lowest_cost:
    "Within a tier the target comes first at which this call's tokens cost least; those without a price come last.",
  sticky:
    'Within a tier each session has a target of its own, by a hash of tenant, session and target; it stays there while that target is well.',
};

function reasonsFor(
  call: ImaginedCall,
  resolution: Resolution,
  route: Route | null,
  chosen: ExplainedTarget | null,
  snapshot: RoutingSnapshot,
): string[] {
  const reasons = [
    route === null
      ? `"${call.model}" names a provider's model; no route has a part in it.`
      : `"${route.name}" is a route of ${route.tenantId === null ? 'the platform, as the tenant has none of that name' : 'the tenant'}.`,
  ];
  for (const { provider, model } of route?.tiers.flatMap((tier) => tier.targets) ?? []) {
    if (!snapshot.provider(call.tenantId, provider))
      reasons.push(`${provider}/${model} is left out: there is no provider "${provider}".`);
  }
  if (resolution.tiers.some((tier) => tier.length > 1)) reasons.push(strategyReasons[resolution.strategy]);
  if (call.prefer !== undefined) {
    const [first] = tiersInOrder(resolution, call.prefer);
    reasons.push(
      first?.[0]?.tier === call.prefer
        ? `The ${call.prefer} tier comes first because it is preferred.`
        : `There is no ${call.prefer} tier, so the order is the usual one.`,
    );
  }
  reasons.push(
    chosen
      ? `${chosen.target.provider.name}/${chosen.target.model} of the ${chosen.target.tier} tier is the first that would be tried.`
      : 'No target would be tried now.',
  );
  return reasons;
}

function afterwardsOf(cache: RouteCache): DryRun['afterwards'] {
  return [
    {
      tier: 'cached',
      explanation:
        cache.mode === 'off'
          ? 'The route keeps no answers of model calls, so there is none to fall back to. Questions to /api/v1/query have answers of their own, which are kept while the documents behind them stand.'
          : `The route keeps answers (${cache.mode}): a fresh one is given before any target is tried, and one past its time when all of them fail.`,
    },
    {
      tier: 'search_results',
      explanation:
        'A question to /api/v1/query is then answered with the best passages, quoted; a model call ends with an error.',
    },
  ];
}
