import { type Permission, permissions, permissionsOfRole, type Role, roles } from '../permissions.ts';

/** A role as every request needs it: built in, or one of the tenant's own. */
export interface RoleFacts {
  readonly name: string;
  readonly permissions: readonly Permission[];
  /** Whether its holders manage every document of the tenant, and so read it whatever its readers. */
  readonly readsAllDocuments: boolean;
}

/** What roles of a tenant's own may hold: all but what belongs to the platform's owners. */
export const grantablePermissions: readonly Permission[] = permissionsOfRole.admin;

const builtIn: ReadonlyMap<string, RoleFacts> = new Map(
  roles.map((name) => [
    name,
    Object.freeze({
      name,
      permissions: permissionsOfRole[name],
      readsAllDocuments: name === 'admin' || name === 'owner',
    }),
  ]),
);

export function isBuiltIn(name: string): name is Role {
  return builtIn.has(name);
}

/** @returns undefined for a name that is not built in. */
export function builtInRole(name: string): RoleFacts | undefined {
  return builtIn.get(name);
}

/** Somebody whose role is not there, which a change under way can make look so for an instant, may do nothing. */
export function roleWithoutPermissions(name: string): RoleFacts {
  return { name, permissions: [], readsAllDocuments: false };
}

/** Parts of managing one's account that can also be had by themselves. */
const partsOfAccount: readonly Permission[] = ['account:sign_in', 'account:enrol'];

/**
 * A tenant's own role as it is stored. A permission that this version does not know, or not grant, counts for nothing.
 * Whoever manages their account also finishes its sign-in and sets up its second factor.
 */
export function customRole(row: {
  readonly name: string;
  readonly permissions: readonly string[];
}): RoleFacts {
  const holds = (permission: Permission) =>
    row.permissions.includes(permission) ||
    (partsOfAccount.includes(permission) && row.permissions.includes('account:manage'));
  return Object.freeze({
    name: row.name,
    permissions: permissions.filter(
      (permission) => holds(permission) && grantablePermissions.includes(permission),
    ),
    readsAllDocuments: false,
  });
}
