import { type MissingFactor, missingFactor, needsSecondFactor } from '../people/mfa-rule.ts';
import type { Permission } from '../permissions.ts';
import { type Principal, readerTokensOf, type TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import type { LiveSession } from './sessions.store.ts';

/** Who calls by a session, and what they may do: what their role holds, or next to nothing without a factor they need. */
export function principalOfSession(row: LiveSession, tenant: TenantFacts, role: RoleFacts): Principal {
  const keyId = sessionKeyId(row.id);
  const caller = { role: row.role, groups: row.groups, userId: row.user_id, keyId };
  const missing = missingOf(row, role);
  const permissions = new Set(missing === null ? role.permissions : permissionsWithout(missing));
  return Object.freeze({
    tenant,
    tenantId: tenant.id,
    keyId,
    userId: row.user_id,
    role: row.role,
    groups: Object.freeze([...row.groups]),
    permissions,
    readerTokens: missing === null ? readerTokensOf({ ...caller, permissions }) : [],
    actsInNamedTenant: false,
    internal: false,
    ...(missing !== null && { missingFactor: missing }),
  });
}

/** How ledger, limits and audit name a session: by the end of its id, because ids of one moment begin alike. */
export function sessionKeyId(sessionId: string): string {
  return `session:${sessionId.slice(-12)}`;
}

/** What a session lacks, by what is set now. */
function missingOf(row: LiveSession, role: RoleFacts): MissingFactor | null {
  const settings = {
    tenants: row.tenants_require_mfa,
    platforms: row.platforms_require_mfa ?? 'none',
    ofOwners: row.owners_require_mfa ?? false,
  };
  return missingFactor({
    needed: needsSecondFactor(settings, role),
    shown: row.second_factor,
    enrolled: row.enrolled,
  });
}

/**
 * All that a session may do until it has the factor that is required of it, whatever its user's role holds. This is the one
 * place that says so: every route declares a permission, and these are the only ones that such a session has.
 */
function permissionsWithout(missing: MissingFactor): readonly Permission[] {
  return missing === 'enrol' ? ['account:sign_in', 'account:enrol'] : ['account:sign_in'];
}
