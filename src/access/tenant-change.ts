import { AppError } from '../platform/errors.ts';
import type { LimitFigures } from '../platform/limits-settings.ts';
import type { TenantRow } from './access.store.ts';
import type { Tier } from './principal.ts';

/** What an owner changes of a tenant; what is absent stays. */
export interface TenantChange {
  readonly name?: string | undefined;
  readonly tier?: Tier | undefined;
  readonly status?: 'active' | 'suspended' | undefined;
  readonly timeZone?: string | undefined;
  /** Figures it gets instead of its tier's, null for unlimited; those named in `tiersFigures` are its tier's again. */
  readonly limits?: Partial<LimitFigures>;
  readonly tiersFigures?: readonly (keyof LimitFigures)[];
  /** When its own figures end by themselves; null: they stay. */
  /** Addresses and ranges its callers may come from; none: anywhere. */
  readonly ipAllowList?: readonly string[] | undefined;
  readonly limitsExpireAt?: Date | null | undefined;
}

/** The row's new values. Figures that have run out are gone, and what is given now starts from none. */
export function changedTenant(before: TenantRow, change: TenantChange, now: Date) {
  const ranOut = before.limits_expire_at !== null && before.limits_expire_at <= now;
  const figures: Partial<LimitFigures> = { ...(ranOut ? {} : before.limits), ...change.limits };
  for (const name of change.tiersFigures ?? []) delete (figures as Record<string, unknown>)[name];
  const expiry = change.limitsExpireAt === undefined ? keptExpiry(before, ranOut) : change.limitsExpireAt;
  return {
    name: change.name ?? before.name,
    tier: change.tier ?? before.tier,
    status: change.status ?? before.status,
    time_zone: change.timeZone ?? before.time_zone,
    ip_allow_list: [...(change.ipAllowList ?? before.ip_allow_list)],
    limits: JSON.stringify(figures),
    limits_expire_at: Object.keys(figures).length === 0 ? null : expiry,
    updated_at: now,
  };
}

const keptExpiry = (before: TenantRow, ranOut: boolean): Date | null =>
  ranOut ? null : before.limits_expire_at;

/** @throws AppError `invalid` that names the field. */
export function refusePast(at: Date | null, field: string, now: Date): void {
  if (at === null || at > now) return;
  throw new AppError('invalid', `${field} has passed already.`, {
    errors: [{ path: field, message: 'must be in the future' }],
  });
}
