import './route-declaration.ts';

export { accessRoutes } from './access.routes.ts';
export { type Access, createAccess, platformPrincipal } from './access.service.ts';
export { createAccessStore, tenantFacts } from './access.store.ts';
export type { NewKey } from './api-key.ts';
export {
  effectivePermissions,
  type Permission,
  permissions,
  permissionsOfRole,
  type Role,
  roles,
} from './permissions.ts';
export {
  allDocumentsToken,
  type Principal,
  type Region,
  readerTokensOf,
  requirePermission,
  type TenantFacts,
  type Tier,
} from './principal.ts';
export type { RouteAccess } from './route-declaration.ts';
