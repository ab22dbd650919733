import type { Principal } from '../access/index.ts';
import type { Demand } from './counters/counters.ts';
import { areInForce } from './limit-figures.ts';
import { eachOfItsOwn, type LimitRule, rulesAtMost } from './limit-rules.ts';
import type { Limits } from './limits.service.ts';
import { describeLimit, type LimitDescription } from './named-demand.ts';

/** A limit that a caller meets, for showing. */
export interface ShownLimit {
  /** The figure's name: `requests_per_minute`. */
  readonly limit: string;
  readonly scope: string;
  /** Whom it counts within the scope; null: the tenant itself. */
  readonly subject: string | null;
  /** The figure; null: unlimited. */
  readonly value: number | null;
  /** What is there when nothing is used; for a rate the burst. */
  readonly quota: number | null;
  readonly windowSeconds: number | null;
  readonly source: 'tier' | 'override' | 'rule';
  /** Its counter; null when it is unlimited, or one for each subject of its own. */
  readonly demand: Demand | null;
}

type Source = Pick<Limits, 'gate' | 'figuresOf' | 'rules'>;

/**
 * Every limit that a caller meets, of this address, in the order in which they are asked; then what is unlimited, and rules
 * for routes and models, which calls of those meet.
 */
export async function shownLimits(
  { gate, figuresOf, rules }: Source,
  principal: Principal,
  ip: string,
  nowMs: number,
): Promise<ShownLimit[]> {
  const { tenant } = principal;
  const own = areInForce(tenant.limits, nowMs) ? tenant.limits.figures : {};
  const show = (demand: Demand): ShownLimit[] => {
    const about = describeLimit(demand);
    if (about === undefined) return [];
    const { limit, scope, subject, value, quota, windowSeconds } = about;
    const source = isRule(about) ? 'rule' : limit in own ? 'override' : 'tier';
    return [{ limit, scope, subject, value, quota, windowSeconds, source, demand }];
  };
  const callOf = (route: string | null, model: string) =>
    gate.demandsOfCall(principal, { route, model, tokens: 0 }).flatMap(show);
  const everyCall = callOf(null, '');
  const met = [...gate.demandsOfQuery({ principal, ip, weight: 1 }).flatMap(show), ...everyCall];
  const unlimited = Object.entries(figuresOf(tenant)).flatMap(([limit, figure]): ShownLimit[] => {
    if (figure !== null) return [];
    const scope = limit.startsWith('requests') ? 'key' : 'tenant';
    const subject = scope === 'key' ? principal.keyId : null;
    const source = limit in own ? 'override' : 'tier';
    return [{ ...nothing, limit, scope, subject, source }];
  });
  const all = await rules(principal, { limit: rulesAtMost, after: null });
  const ofCalls = all.filter((rule) => isForCalls(rule, nowMs));
  return [
    ...met,
    ...unlimited,
    ...ofCalls.flatMap((rule) => {
      if (rule.subject === eachOfItsOwn) return shownForEach(rule);
      const calls = rule.scope === 'route' ? callOf(rule.subject, '') : callOf(null, rule.subject);
      return calls.filter(({ scope, demand }) => scope === rule.scope && demand?.counter.includes(rule.id));
    }),
  ];
}

const nothing = { value: null, quota: null, windowSeconds: null, demand: null } as const;

function isRule({ name }: LimitDescription): boolean {
  return name.endsWith('-own') || name.endsWith('-each');
}

function isForCalls({ scope, expiresAt }: LimitRule, nowMs: number): boolean {
  return (scope === 'route' || scope === 'model') && (expiresAt === null || nowMs < expiresAt.getTime());
}

/** Each route or model has a counter of its own, so there is none to be looked at. */
function shownForEach({ scope, subject, figures }: LimitRule): ShownLimit[] {
  return Object.entries(figures).flatMap(([limit, value]): ShownLimit[] =>
    limit === 'burst' || value == null
      ? []
      : [{ ...nothing, limit, scope, subject, value, quota: value, source: 'rule' }],
  );
}
