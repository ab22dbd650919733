import {
  type Access,
  type Principal,
  refusePast,
  type TenantChange,
  type TenantFacts,
  type TenantRow,
  type Tier,
  tenantFacts,
} from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import { isUuid, type NewId } from '../platform/ids.ts';
import { type LimitFigures, type LimitsConfig, tierNames } from '../platform/limits-settings.ts';
import type { Log } from '../platform/log.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import { createDemandLists } from './demand-lists.ts';
import {
  areInForce,
  type FigureName,
  figuresInForce,
  figuresOfTier,
  type SomeFigures,
} from './limit-figures.ts';
import type { LimitGate } from './limit-gate.ts';
import { limitHeaders, refusalOf } from './limit-replies.ts';
import { type LimitRule, type RuleScope, ruleFigures, subjectOf } from './limit-rules.ts';
import type { LimitsStore } from './limits.store.ts';
import { perMinute } from './named-demand.ts';
import { createPolicySnapshot } from './policy-snapshot.ts';

export interface LimitsDependencies {
  readonly store: LimitsStore;
  readonly access: Pick<Access, 'tenantFor' | 'changeTenant'>;
  readonly config: LimitsConfig;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly log: Log;
  /** Told of each refusal. */
  readonly countRefusal?: (limit: string, scope: string) => void;
  /** Calls back for each committed change of tiers and rules, and after each gap in hearing of them. */
  readonly subscribe: (onChange: (change: string) => void, onGap: () => void) => void;
}

/** Figures to set, and those to take away so that what lies below them counts again. */
export interface FigureChange {
  readonly set: SomeFigures;
  readonly unset: readonly FigureName[];
}

export interface NewRule {
  readonly scope: RuleScope;
  readonly subject: string;
  readonly figures: SomeFigures;
  readonly expiresAt: Date | null;
}

/** A tenant with what limits it at this moment. */
export interface LimitedTenant {
  readonly row: TenantRow;
  /** Its own figures, in force. */
  readonly own: SomeFigures;
  readonly ownExpireAt: Date | null;
  readonly inForce: LimitFigures;
}

export interface TierView {
  readonly tier: Tier;
  readonly figures: LimitFigures;
  /** Set by an owner, over the configuration and what is built in. */
  readonly set: readonly FigureName[];
}

export type Limits = ReturnType<typeof createLimits>;

/** Who may ask how much (LIM-1, LIM-2, LIM-7): tiers, tenants' own figures, their rules, and the gate that requests meet. */
export function createLimits(deps: LimitsDependencies) {
  const { store, config, clock, newId, log } = deps;
  const snapshot = createPolicySnapshot(store, config.tiers, log);
  const nowMs = () => clock.now().getTime();
  const lists = createDemandLists((principal) => snapshot.policyOf(principal.tenant, nowMs()));

  deps.subscribe(
    (change) => void snapshot.apply(change),
    () => void snapshot.reload().catch((error) => log.warn({ err: error }, 'limits could not be read again')),
  );

  const ofTier = (tier: Tier): LimitFigures =>
    figuresOfTier(tier, config.tiers, Object.fromEntries(snapshot.setTiers()));

  const limited = (row: TenantRow): LimitedTenant => {
    const { limits } = tenantFacts(row);
    const own = areInForce(limits, nowMs());
    return {
      row,
      own: own ? limits.figures : {},
      ownExpireAt: own ? row.limits_expire_at : null,
      inForce: figuresInForce(ofTier(row.tier), limits, nowMs()),
    };
  };

  const strangers = (ip: string) =>
    config.unauthenticatedPerMinute === null
      ? []
      : [
          perMinute(
            { scope: 'ip', subject: ip, counter: 'stranger', suffix: '' },
            config.unauthenticatedPerMinute,
            1,
          ),
        ];

  const gate: LimitGate = {
    demandsOfRequest: lists.ofRequest,
    demandsOfQuery: lists.ofQuery,
    demandsOfCall: lists.ofCall,
    demandsOfStranger: strangers,
    refusal(demand, refused) {
      const refusal = refusalOf(demand, refused);
      deps.countRefusal?.(String(refusal.extra.limit), String(refusal.extra.scope));
      return refusal;
    },
    headers: limitHeaders,
  };

  return {
    gate,
    /** What work of this kind counts against limits of requests. */
    weightOf: (work: keyof LimitsConfig['weights']): number => config.weights[work],
    redisDown: config.redisDown,
    /** What counts for a tenant now. */
    figuresOf: (tenant: TenantFacts): LimitFigures => snapshot.policyOf(tenant, nowMs()).figures,

    start: () => snapshot.reload(),

    /** @throws AppError `not_found`, also for a tenant that the caller does not belong to. */
    tenant: async (principal: Principal, idOrSlug: string): Promise<LimitedTenant> =>
      limited(await deps.access.tenantFor(principal, idOrSlug)),

    /** @throws AppError `not_found`, `invalid`. */
    async changeTenant(idOrSlug: string, change: TenantChange): Promise<LimitedTenant> {
      if (change.timeZone !== undefined && !(await store.knowsTimeZone(change.timeZone))) {
        const message = 'is a time zone that the database does not know; take one such as Europe/Berlin';
        throw new AppError('invalid', `time_zone ${message}.`, { errors: [{ path: 'time_zone', message }] });
      }
      return limited(await deps.access.changeTenant(idOrSlug, change));
    },

    tiers: (): TierView[] =>
      tierNames.map((tier) => ({
        tier,
        figures: ofTier(tier),
        set: Object.keys(snapshot.setTiers().get(tier) ?? {}) as FigureName[],
      })),

    async changeTier(principal: Principal, tier: Tier, { set, unset }: FigureChange): Promise<TierView> {
      const change = (before: SomeFigures) => without({ ...before, ...set }, unset);
      await store.changeTier(tier, change, `key:${principal.keyId}`, clock.now());
      await snapshot.apply('tiers');
      const own = snapshot.setTiers().get(tier) ?? {};
      return { tier, figures: ofTier(tier), set: Object.keys(own) as FigureName[] };
    },

    rules: (principal: Principal, page: Page<PageCursor>) => store.rules(principal, page),

    /** @throws AppError `invalid`; `conflict` where there is such a rule, or there are too many. */
    async createRule(principal: Principal, given: NewRule): Promise<LimitRule> {
      const now = clock.now();
      refusePast(given.expiresAt, 'expires_at', now);
      const rule: LimitRule = {
        id: newId(),
        tenantId: principal.tenantId,
        scope: given.scope,
        subject: subjectOf(given.scope, given.subject),
        figures: ruleFigures(given.scope, given.figures),
        expiresAt: given.expiresAt,
        createdBy: `key:${principal.keyId}`,
        createdAt: now,
        updatedAt: now,
      };
      await store.addRule(principal, rule);
      await snapshot.apply(principal.tenantId);
      return rule;
    },

    /** @throws AppError `not_found`, `invalid`. */
    async changeRule(
      principal: Principal,
      id: string,
      { set, unset }: FigureChange,
      expiresAt: Date | null | undefined,
    ): Promise<LimitRule> {
      const now = clock.now();
      refusePast(expiresAt ?? null, 'expires_at', now);
      const changed = !isUuid(id)
        ? undefined
        : await store.changeRule(principal, id, (before) => ({
            ...before,
            figures: ruleFigures(
              before.scope,
              withoutStrayBurst(without({ ...before.figures, ...set }, unset), set),
            ),
            expiresAt: expiresAt === undefined ? before.expiresAt : expiresAt,
            updatedAt: now,
          }));
      if (!changed) throw notFound('rule');
      await snapshot.apply(principal.tenantId);
      return changed;
    },

    /** @throws AppError `not_found`. */
    async deleteRule(principal: Principal, id: string): Promise<void> {
      if (!isUuid(id) || !(await store.deleteRule(principal, id))) throw notFound('rule');
      await snapshot.apply(principal.tenantId);
    },
  };
}

function without(figures: SomeFigures, unset: readonly FigureName[]): SomeFigures {
  return Object.fromEntries(Object.entries(figures).filter(([name]) => !unset.includes(name as FigureName)));
}

/** A burst goes when its rate is taken away, unless it is asked for: then it is refused with the rest. */
function withoutStrayBurst(figures: SomeFigures, set: SomeFigures): SomeFigures {
  const stray = figures.queries_per_second === undefined && set.burst === undefined;
  return stray ? without(figures, ['burst']) : figures;
}
