import { type Principal, readerTokensOf, type TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';

/** A user's rights by a token: the role's of now, and the groups the token tells. */
export function principalOfUser(
  tenant: TenantFacts,
  role: RoleFacts,
  { userId, groups, vouchedBy }: Pick<Principal, 'groups' | 'vouchedBy'> & { readonly userId: string },
): Principal {
  const permissions = new Set(role.permissions);
  const caller = { role: role.name, groups, userId, keyId: `token:${userId}` };
  return Object.freeze({
    ...caller,
    groups: Object.freeze([...groups]),
    tenant,
    tenantId: tenant.id,
    permissions,
    readerTokens: readerTokensOf({ ...caller, permissions }),
    actsInNamedTenant: false,
    internal: false,
    ...(vouchedBy && { vouchedBy }),
  });
}
