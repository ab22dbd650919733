import './route-declaration.ts';

export { accessRoutes, showTenant } from './access.routes.ts';
export { tenantView } from './access.schema.ts';
export { type Access, createAccess } from './access.service.ts';
export { createAccessStore, type TenantRow, tenantFacts } from './access.store.ts';
export type { NewKey } from './api-key.ts';
export { refuseForeignAddress, refuseForeignModel } from './keys/restrictions.ts';
export { createPeople, type People, peopleRoutes } from './people/index.ts';
export { smtpMailSender } from './people/mail/smtp-mail-sender.ts';
export type { NoteSignIn } from './people/note-sign-in.ts';
export { sealedPeopleColumns } from './people/sealed-columns.ts';
export {
  effectivePermissions,
  type Permission,
  permissions,
  permissionsOfRole,
  type Role,
  roles,
  within,
} from './permissions.ts';
export { platformPrincipal } from './platform-principal.ts';
export {
  allDocumentsToken,
  type Principal,
  type Region,
  readerTokensOf,
  requirePermission,
  type TenantFacts,
  type TenantLimits,
  type Tier,
} from './principal.ts';
export { type Grant, refuseGrantBeyond } from './roles/delegation.ts';
export { grantablePermissions, type RoleFacts } from './roles/role-facts.ts';
export { roleRoutes } from './roles/roles.routes.ts';
export { roleName } from './roles/roles.schema.ts';
export { refuseUnknownRole, unknownRole } from './roles/roles.store.ts';
export type { RouteAccess } from './route-declaration.ts';
export { refusePast, type TenantChange } from './tenant-change.ts';
export type { PasswordSignIn } from './tokens/give-tokens.ts';
export { sealedTokenKeys } from './tokens/sealed-columns.ts';
export { keySetRoutes, tokenRoutes } from './tokens/tokens.routes.ts';
export { createTokens, type Tokens } from './tokens/tokens.service.ts';
