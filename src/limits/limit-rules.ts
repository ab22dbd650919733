import { AppError } from '../platform/errors.ts';
import { ipAddressOf } from '../platform/ip-address.ts';
import type { SomeFigures } from './limit-figures.ts';

export const ruleScopes = ['ip', 'user', 'key', 'route', 'model'] as const;
export type RuleScope = (typeof ruleScopes)[number];

/** A further limit of a tenant's own, which applies beside all others. */
export interface LimitRule {
  readonly id: string;
  readonly tenantId: string;
  readonly scope: RuleScope;
  /** A name of that scope, or `*` for each one of its own. */
  readonly subject: string;
  /** Never unlimited; absent: not limited by this rule. `burst` goes with `queries_per_second`. */
  readonly figures: SomeFigures;
  /** From this instant on it counts for nothing; null: it stays. */
  readonly expiresAt: Date | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export const eachOfItsOwn = '*';
/** Rules of one tenant: they are looked through whenever a caller's limits are put together. */
export const rulesAtMost = 200;

/**
 * The subject as it is compared: addresses in one spelling, IPv6 by its first 64 bits, users' ids in small letters.
 * @throws AppError `invalid` for what is no address.
 */
export function subjectOf(scope: RuleScope, given: string): string {
  if (scope === 'user') return given.toLowerCase();
  if (scope !== 'ip' || given === eachOfItsOwn) return given;
  const address = ipAddressOf(given.endsWith('::/64') ? given.slice(0, -'/64'.length) : given);
  if (address !== null) return address.network;
  const message = 'must be an IP address, or * for each address of its own';
  throw new AppError('invalid', `subject ${message}.`, { errors: [{ path: 'subject', message }] });
}

/**
 * Checks what a rule comes to as a whole, and fills in the burst: twice the rate, as tiers have it.
 * @throws AppError `invalid` that names the figure.
 */
export function ruleFigures(scope: RuleScope, figures: SomeFigures): SomeFigures {
  const refuse = (path: string, message: string) =>
    new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }] });
  const { queries_per_second: perSecond, burst } = figures;
  if (scope === 'ip' && figures.tokens_per_day !== undefined) {
    throw refuse(
      'limits.tokens_per_day',
      'cannot be limited by address: tokens belong to a user, key, route or model',
    );
  }
  if (burst !== undefined && perSecond === undefined) {
    throw refuse('limits.burst', 'goes with queries_per_second, which this rule does not have');
  }
  if (Object.keys(figures).length === 0) throw refuse('limits', 'must have at least one figure');
  if (perSecond == null || burst !== undefined) return figures;
  return { ...figures, burst: Math.min(1_000_000, Math.max(1, Math.ceil(2 * perSecond))) };
}
