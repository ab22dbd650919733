import type { Attributes } from '../attributes/attributes.ts';
import { type Principal, readerTokensOf, type TenantFacts } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';

export interface TokenUserFacts extends Pick<Principal, 'groups' | 'vouchedBy'> {
  readonly userId: string;
  /** Of users who have no row here: theirs are read where they are needed. */
  readonly attributes?: Attributes;
}

/** A user's rights by a token: the role's of now, and the groups the token tells. */
export function principalOfUser(
  tenant: TenantFacts,
  role: RoleFacts,
  { userId, groups, vouchedBy, attributes }: TokenUserFacts,
): Principal {
  const permissions = new Set(role.permissions);
  const caller = { role: role.name, groups, userId, keyId: `token:${userId}` };
  return Object.freeze({
    ...caller,
    groups: Object.freeze([...groups]),
    tenant,
    tenantId: tenant.id,
    permissions,
    readerTokens: withAttributes(readerTokensOf({ ...caller, permissions }), attributes),
    actsInNamedTenant: false,
    internal: false,
    ...(vouchedBy && { vouchedBy }),
  });
}

/** `reader_attributes` in the database takes them from there. */
function withAttributes(tokens: readonly string[], attributes: Attributes = {}): readonly string[] {
  if (Object.keys(attributes).length === 0) return tokens;
  return Object.freeze([...tokens, `attributes:${JSON.stringify(attributes)}`]);
}
