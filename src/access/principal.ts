import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { LimitFigures } from '../platform/limits-settings.ts';
import type { AddressList } from './keys/address-list.ts';
import type { ModelList } from './keys/model-list.ts';
import type { Permission } from './permissions.ts';
import { builtInRole } from './roles/role-facts.ts';

export type Tier = 'free' | 'starter' | 'professional' | 'enterprise';
export type Region = 'eu' | 'us' | 'apac';

/** A tenant as every request needs it. */
export interface TenantFacts {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly tier: Tier;
  readonly region: Region;
  readonly status: 'active' | 'suspended';
  /** IANA name; budgets, invoices and reports begin their days, weeks and months in it. */
  readonly timeZone: string;
  /** What it has instead of its tier's figures; absent: nothing. */
  readonly limits?: TenantLimits;
  /** Where its callers may come from; absent: from anywhere. */
  readonly addresses?: AddressList;
}

export interface TenantLimits {
  readonly figures: Partial<LimitFigures>;
  /** From this instant on they count for nothing, milliseconds since the epoch; null: they stay. */
  readonly expireAtMs: number | null;
}

/**
 * Who is calling, in which tenant, and what they may do. Made once per key and tenant and then shared by every
 * request that presents that key, so it is frozen and costs the hot path nothing.
 */
export interface Principal extends DatabaseScope {
  readonly tenant: TenantFacts;
  readonly keyId: string;
  /** The user whom the key belongs to; a key of its own (an application's) has none. */
  readonly userId: string | null;
  /** Who says so, and of whom, where the user is one of an issuer elsewhere. */
  readonly vouchedBy?: { readonly issuer: string; readonly subject: string };
  /** A built-in role, or one of the tenant's own. */
  readonly role: string;
  readonly groups: readonly string[];
  readonly permissions: ReadonlySet<Permission>;
  /** An owner who named a tenant with `X-Tenant-Id`; without it an owner's settings are the platform's. */
  readonly actsInNamedTenant: boolean;
  /** A service of the platform's own: request limits let it pass, budgets do not (LIM-7). */
  readonly internal: boolean;
  /** A session that lacks the second factor required of its user: it may enrol or show one, and nothing else. */
  readonly missingFactor?: 'enrol' | 'show';
  /** Where the key may be used from; absent: from anywhere. */
  readonly addresses?: AddressList;
  /** Which models it may call; absent: all. */
  readonly models?: ModelList;
}

/** @throws AppError `forbidden`, naming the permission that is missing; `second_factor_required`. */
export function requirePermission(principal: Principal, permission: Permission): void {
  if (!principal.permissions.has(permission)) throw lacking(principal, permission);
}

/** Why a caller may not do something, and what they can do about it. */
function lacking({ missingFactor }: Principal, permission: Permission): AppError {
  if (missingFactor === undefined) {
    return new AppError(
      'forbidden',
      `This needs the permission ${permission}, which this key does not have.`,
    );
  }
  const todo =
    missingFactor === 'enrol'
      ? 'Set one up: POST /api/v1/auth/totp, or POST /api/v1/auth/passkeys/options.'
      : 'Show yours: POST /api/v1/auth/second-factor, or POST /api/v1/auth/second-factor/passkey/options.';
  return new AppError('second_factor_required', `A second factor is required of this account. ${todo}`, {
    extra: { missing: missingFactor },
  });
}

/** Held by those who manage every document of the tenant, and so can read it whatever its readers. */
export const allDocumentsToken = 'all:documents';

/** Held by those who read members of metadata that are masked for others. */
export const allMetadataToken = 'all:metadata';

/** The tokens a caller reads documents as; a document's readers hold the same form. */
export function readerTokensOf(caller: {
  role: string;
  groups: readonly string[];
  userId: string | null;
  keyId: string;
  /** Absent: whatever is masked is masked for them. */
  permissions?: ReadonlySet<Permission>;
}): readonly string[] {
  const tokens = [
    `role:${caller.role}`,
    ...caller.groups.map((group) => `group:${group}`),
    `user:${caller.keyId}`,
  ];
  if (caller.userId) tokens.push(`user:${caller.userId}`);
  if (builtInRole(caller.role)?.readsAllDocuments) tokens.push(allDocumentsToken);
  if (caller.permissions?.has('documents:unmasked')) tokens.push(allMetadataToken);
  return Object.freeze(tokens);
}
