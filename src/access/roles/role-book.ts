import { builtInRole, customRole, type RoleFacts, roleWithoutPermissions } from './role-facts.ts';
import type { RoleRow } from './roles.store.ts';

/** Every tenant's own roles, in memory, so that knowing what a role means costs a request nothing. */
export interface RoleBook {
  /** The role of that name in that tenant; undefined when there is none. */
  find(tenantId: string, name: string): RoleFacts | undefined;
  /** As `find`; a role that is not there holds nothing. */
  roleOf(tenantId: string, name: string): RoleFacts;
  set(row: RoleRow): void;
  /** @returns whose role it was. */
  forget(id: string): { tenantId: string; name: string } | undefined;
  replace(rows: readonly RoleRow[]): void;
}

export function createRoleBook(): RoleBook {
  let byId = new Map<string, { tenantId: string; name: string }>();
  let byName = new Map<string, RoleFacts>();
  const place = (tenantId: string, name: string) => `${tenantId} ${name}`;

  const find = (tenantId: string, name: string) => builtInRole(name) ?? byName.get(place(tenantId, name));
  const set = (row: RoleRow) => {
    byId.set(row.id, { tenantId: row.tenant_id, name: row.name });
    byName.set(place(row.tenant_id, row.name), customRole(row));
  };

  return {
    find,
    roleOf: (tenantId, name) => find(tenantId, name) ?? roleWithoutPermissions(name),
    set,
    forget(id) {
      const known = byId.get(id);
      if (!known) return undefined;
      byId.delete(id);
      byName.delete(place(known.tenantId, known.name));
      return known;
    },
    replace(rows) {
      byId = new Map();
      byName = new Map();
      for (const row of rows) set(row);
    },
  };
}
