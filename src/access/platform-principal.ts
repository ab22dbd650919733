import { permissionsOfRole } from './permissions.ts';
import { type Principal, readerTokensOf, type TenantFacts } from './principal.ts';

/** The platform acting in a tenant on its own behalf: first boot and jobs. Reads every document of that tenant. */
export function platformPrincipal(tenant: TenantFacts): Principal {
  const caller = { role: 'owner' as const, groups: [], userId: null, keyId: 'platform' };
  const permissions = new Set(permissionsOfRole.owner);
  return Object.freeze({
    ...caller,
    tenant,
    tenantId: tenant.id,
    permissions,
    readerTokens: readerTokensOf({ ...caller, permissions }),
    actsInNamedTenant: true,
    internal: true,
  });
}
