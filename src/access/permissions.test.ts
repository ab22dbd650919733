import { describe, expect, it } from 'vitest';
import { effectivePermissions, isScope, permissionsOfRole, roles } from './permissions.ts';

describe('permissions', () => {
  it('each built-in role may do all that the one before it may', () => {
    for (const [i, role] of roles.slice(1).entries()) {
      const lower = roles[i] ?? 'viewer';
      for (const permission of permissionsOfRole[lower])
        expect(permissionsOfRole[role]).toContain(permission);
    }
  });

  it('a viewer runs no queries, reads no documents and calls no model', () => {
    for (const permission of ['queries:run', 'documents:read', 'models:call'] as const) {
      expect(permissionsOfRole.viewer).not.toContain(permission);
    }
  });

  it('only the owner manages tenants', () => {
    for (const role of roles) {
      expect(permissionsOfRole[role].includes('tenants:manage')).toBe(role === 'owner');
    }
  });

  it('scopes narrow a role and never widen it', () => {
    expect([...effectivePermissions('analyst', ['models:*'])]).toEqual(['models:list', 'models:call']);
    expect([...effectivePermissions('viewer', ['documents:write', 'keys:manage'])]).toEqual([]);
    expect(effectivePermissions('operator', [])).toEqual(new Set(permissionsOfRole.operator));
  });

  it('knows a scope from a slip of the keyboard', () => {
    expect(isScope('documents:*')).toBe(true);
    expect(isScope('models:call')).toBe(true);
    expect(isScope('document:*')).toBe(false);
    expect(isScope('*')).toBe(false);
    expect(isScope('')).toBe(false);
  });
});
