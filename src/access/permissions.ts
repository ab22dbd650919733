/**
 * Every permission there is. A route declares exactly one; a role holds a set of them; a key's scopes narrow its
 * role's set and never widen it.
 */
export const permissions = [
  'models:list',
  'models:call',
  'documents:read',
  'documents:write',
  'documents:unmasked',
  'queries:run',
  'providers:read',
  'providers:manage',
  'routes:read',
  'routes:manage',
  'costs:read',
  'costs:manage',
  'billing:manage',
  'limits:read',
  'limits:manage',
  'notifications:manage',
  'cache:manage',
  'keys:manage',
  'roles:manage',
  'users:read',
  'users:manage',
  'sign_in:manage',
  'account:manage',
  'account:sign_in',
  'account:enrol',
  'metrics:read',
  'health:read',
  'audit:read',
  'audit:export',
  'audit:forward',
  'tenants:manage',
  'keyring:manage',
] as const;
export type Permission = (typeof permissions)[number];

export const roles = ['viewer', 'analyst', 'operator', 'admin', 'owner'] as const;
export type Role = (typeof roles)[number];

const viewer: readonly Permission[] = [
  'models:list',
  'health:read',
  'metrics:read',
  'limits:read',
  'account:manage',
  'account:sign_in',
  'account:enrol',
];
const analyst: readonly Permission[] = [...viewer, 'models:call', 'documents:read', 'queries:run'];
const operator: readonly Permission[] = [
  ...analyst,
  'documents:write',
  'providers:read',
  'routes:read',
  'costs:read',
];
const admin: readonly Permission[] = [
  ...operator,
  'providers:manage',
  'routes:manage',
  'costs:manage',
  'limits:manage',
  'documents:unmasked',
  'notifications:manage',
  'cache:manage',
  'keys:manage',
  'roles:manage',
  'users:read',
  'users:manage',
  'sign_in:manage',
  'audit:read',
  'audit:export',
];

/** What each built-in role may do (ACC-5). `owner` is the platform's: everything, in every tenant. */
export const permissionsOfRole: Readonly<Record<Role, readonly Permission[]>> = {
  viewer,
  analyst,
  operator,
  admin,
  owner: permissions,
};

/** Whether `scope` is a permission's name, or `<area>:*` for all of an area's. */
export function isScope(scope: string): boolean {
  return permissions.some((permission) => covers(scope, permission));
}

/**
 * @param scopes a key's scopes; none means all of the role.
 * @returns what the key may do: the role's permissions that a scope covers.
 */
export function effectivePermissions(role: Role, scopes: readonly string[]): ReadonlySet<Permission> {
  return new Set(within(permissionsOfRole[role], scopes));
}

/** @returns those of a role's permissions that a scope covers; without scopes, all of them. */
export function within(ofRole: readonly Permission[], scopes: readonly string[]): readonly Permission[] {
  if (scopes.length === 0) return ofRole;
  return ofRole.filter((permission) => scopes.some((scope) => covers(scope, permission)));
}

function covers(scope: string, permission: Permission): boolean {
  if (scope === permission) return true;
  return scope.endsWith(':*') && permission.startsWith(scope.slice(0, -1));
}
