import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import { readCondition } from '../attributes/condition.ts';
import { compileCondition } from '../attributes/condition-path.ts';
import { type Permission, permissionsOfRole, roles } from '../permissions.ts';
import { allDocumentsToken, type Principal } from '../principal.ts';
import { refusePermissionsBeyond } from './delegation.ts';
import { grantablePermissions, isBuiltIn } from './role-facts.ts';
import type { RoleRow, RolesStore } from './roles.store.ts';

export interface RolesDependencies {
  readonly store: RolesStore;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Takes a change up here at once, before the notification comes round. */
  readonly changed: (id: string) => Promise<void>;
}

/** A role as it is shown. */
export interface ShownRole {
  readonly name: string;
  readonly description: string;
  readonly builtIn: boolean;
  readonly permissions: readonly string[];
  /** Which documents there are for its holders, among those that they are readers of; null: all. As it was sent. */
  readonly documentCondition: object | null;
  /** Of the tenant's own roles. */
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
}

/** What is to be different about a role; what is absent stays. */
export interface RoleChange {
  readonly description?: string | undefined;
  readonly permissions?: readonly Permission[] | undefined;
  /** Null: none from now on. */
  readonly documentCondition?: object | null | undefined;
}

export type Roles = ReturnType<typeof createRoles>;

/** Roles of a tenant's own that one tenant may have. */
const mostRoles = 200;

const builtInRoles: readonly ShownRole[] = roles.map((name) => ({
  name,
  description: '',
  builtIn: true,
  permissions: permissionsOfRole[name],
  documentCondition: null,
  createdAt: null,
  updatedAt: null,
}));

/** Roles as a tenant's administrators handle them. The built-in ones are shown and never changed. */
export function createRoles({ store, clock, newId, changed }: RolesDependencies) {
  return {
    builtIn: builtInRoles,

    /** A page of the tenant's own roles, newest first. */
    page: (principal: Principal, page: Page<PageCursor>): Promise<RoleRow[]> =>
      store.page(principal, page.limit, page.after),

    async byName(principal: Principal, name: string): Promise<ShownRole> {
      const row = isBuiltIn(name) ? undefined : await store.byName(principal, name);
      const found = row ? shownRole(row) : builtInRoles.find((role) => role.name === name);
      if (!found) throw notFound('role');
      return found;
    },

    /**
     * @throws AppError `forbidden` when the role would hold more than its maker, `invalid` for a permission that no such
     *   role may hold and for a condition that cannot be read, `conflict` when there is one of that name.
     */
    async add(
      principal: Principal,
      given: {
        name: string;
        description: string;
        permissions: readonly Permission[];
        documentCondition?: object | null;
      },
    ): Promise<ShownRole> {
      if (isBuiltIn(given.name)) {
        throw new AppError('conflict', `The role "${given.name}" is built in. Choose another name.`);
      }
      refuseUngrantable(given.permissions);
      refusePermissionsBeyond(principal, given.permissions);
      const condition = given.documentCondition ?? null;
      if (condition !== null) refuseConditionBy(principal);
      const now = clock.now();
      const row = {
        id: newId(),
        tenant_id: principal.tenantId,
        name: given.name,
        description: given.description,
        permissions: [...new Set(given.permissions)],
        ...conditionColumns(condition),
        created_by: `user:${principal.userId ?? principal.keyId}`,
        created_at: now,
        updated_at: now,
      };
      const added = await store.add(principal, row, mostRoles);
      await changed(added.id);
      return shownRole(added);
    },

    /**
     * Permissions hold for everybody who has the role here at once and elsewhere within a second; a condition everywhere from
     * the next request on.
     * @throws AppError as `add`; `forbidden` also when the role held more than the caller does.
     */
    async change(principal: Principal, name: string, change: RoleChange): Promise<ShownRole> {
      refuseBuiltIn(name, 'changed');
      refuseUngrantable(change.permissions ?? []);
      const row = await store.change(principal, name, (before) => {
        // Whoever could not have made a role does not take from it either.
        refusePermissionsBeyond(principal, [
          ...(before.permissions as Permission[]),
          ...(change.permissions ?? []),
        ]);
        if (change.documentCondition !== undefined) refuseConditionBy(principal);
        return {
          description: change.description ?? before.description,
          permissions: change.permissions ? [...new Set(change.permissions)] : before.permissions,
          ...(change.documentCondition !== undefined && conditionColumns(change.documentCondition)),
          updated_at: clock.now(),
        };
      });
      if (!row) throw notFound('role');
      await changed(row.id);
      return shownRole(row);
    },

    /** @throws AppError `conflict` while a user or a living key holds it; `forbidden` as `change` of its condition. */
    async remove(principal: Principal, name: string): Promise<void> {
      refuseBuiltIn(name, 'deleted');
      // Another of the same name could be made without it.
      const id = await store.remove(principal, name, (row) => {
        if (row.document_condition !== null) refuseConditionBy(principal);
      });
      if (id === undefined) throw notFound('role');
      await changed(id);
    },
  };
}

export function shownRole(row: RoleRow): ShownRole {
  return {
    name: row.name,
    description: row.description,
    builtIn: false,
    permissions: row.permissions,
    documentCondition: row.document_condition,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** A condition bounds what its holders read, so those set and lift it whom none bounds. @throws AppError `forbidden`. */
function refuseConditionBy(principal: Principal): void {
  if (principal.readerTokens.includes(allDocumentsToken)) return;
  throw new AppError(
    'forbidden',
    'Only an administrator, who reads every document, sets and lifts conditions of roles.',
  );
}

function conditionColumns(given: object | null) {
  if (given === null) return { document_condition: null, document_path: null, document_times: [] };
  const { path, times } = compileCondition(readCondition(given, 'document_condition'));
  return { document_condition: given, document_path: path, document_times: [...times] };
}

function refuseBuiltIn(name: string, what: 'changed' | 'deleted'): void {
  if (isBuiltIn(name)) {
    throw new AppError('conflict', `The role "${name}" is built in and cannot be ${what}. Make your own.`);
  }
}

function refuseUngrantable(wanted: readonly Permission[]): void {
  const beyond = wanted.find((permission) => !grantablePermissions.includes(permission));
  if (beyond === undefined) return;
  throw new AppError('invalid', `${beyond} belongs to the platform's owners; no tenant's role holds it.`, {
    errors: [{ path: 'permissions', message: `${beyond} cannot be granted` }],
  });
}
