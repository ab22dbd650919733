import type { TenantLimits, Tier } from '../access/index.ts';
import type { LimitFigures } from '../platform/limits-settings.ts';

export type FigureName = keyof LimitFigures;
export type SomeFigures = Partial<LimitFigures>;
export type TierFigures = Readonly<Partial<Record<Tier, SomeFigures>>>;

const figures = (
  queries_per_second: number,
  burst: number,
  queries_per_day: number | null,
  requests_per_minute: number,
  requests_per_day: number | null,
  tokens_per_day: number | null,
  concurrent: number,
): LimitFigures => ({
  queries_per_second,
  burst,
  queries_per_day,
  requests_per_minute,
  requests_per_day,
  tokens_per_day,
  concurrent,
});

/** The table of LIM-2; null is unlimited. */
const builtInTiers: Readonly<Record<Tier, LimitFigures>> = {
  free: figures(1, 2, 1_000, 100, 5_000, 100_000, 5),
  starter: figures(10, 20, 100_000, 500, 20_000, 500_000, 10),
  professional: figures(20, 40, 500_000, 1_000, 50_000, 1_000_000, 20),
  enterprise: figures(100, 200, null, 10_000, null, null, 100),
};

/** A tier's figures: what the owner set by API, over what the configuration says, over what is built in. */
export function figuresOfTier(tier: Tier, configured: TierFigures, set: TierFigures): LimitFigures {
  return { ...builtInTiers[tier], ...configured[tier], ...set[tier] };
}

/** Whether a tenant's own figures count at this instant. From `expireAtMs` on they do not. */
export function areInForce(limits: TenantLimits | undefined, nowMs: number): limits is TenantLimits {
  return limits !== undefined && (limits.expireAtMs === null || nowMs < limits.expireAtMs);
}

/** What counts for a tenant at this instant: its own figures over its tier's. */
export function figuresInForce(
  ofTier: LimitFigures,
  limits: TenantLimits | undefined,
  nowMs: number,
): LimitFigures {
  return areInForce(limits, nowMs) ? { ...ofTier, ...limits.figures } : ofTier;
}
