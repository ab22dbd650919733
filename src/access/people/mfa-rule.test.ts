import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Permission, permissions, permissionsOfRole, roles } from '../permissions.ts';
import { builtInRole, customRole } from '../roles/role-facts.ts';
import { isPrivileged, type MfaSettings, missingFactor, needsSecondFactor } from './mfa-rule.ts';

const role = (name: string) => {
  const found = builtInRole(name);
  if (!found) throw new Error(name);
  return found;
};
const nothing: MfaSettings = { tenants: null, platforms: 'none', ofOwners: false };

describe('who is privileged', () => {
  it('is whoever may do more than an analyst', () => {
    expect(roles.filter((name) => isPrivileged(role(name)))).toEqual(['operator', 'admin', 'owner']);
    const only = (permission: Permission) => customRole({ name: 'own', permissions: [permission] });
    expect(isPrivileged(only('users:manage'))).toBe(true);
    expect(isPrivileged(only('documents:write'))).toBe(true);
    expect(isPrivileged(only('queries:run'))).toBe(false);
  });

  it('does not become unprivileged by holding more', () => {
    const some = fc.subarray([...permissions]);
    fc.assert(
      fc.property(some, some, (held, more) => {
        const before = customRole({ name: 'own', permissions: held });
        const after = customRole({ name: 'own', permissions: [...held, ...more] });
        expect(isPrivileged(after) || !isPrivileged(before)).toBe(true);
        expect(isPrivileged(before)).toBe(
          before.permissions.some((permission) => !permissionsOfRole.analyst.includes(permission)),
        );
      }),
    );
  });
});

describe('who needs a second factor', () => {
  it('is said by the tenant, or by the platform where the tenant says nothing', () => {
    const needing = (settings: Partial<MfaSettings>) =>
      roles.filter((name) => needsSecondFactor({ ...nothing, ...settings }, role(name)));
    const privileged = ['operator', 'admin', 'owner'];
    expect(needing({})).toEqual([]);
    expect(needing({ platforms: 'privileged' })).toEqual(privileged);
    expect(needing({ platforms: 'all', tenants: 'privileged' })).toEqual(privileged);
    expect(needing({ platforms: 'all', tenants: 'none' })).toEqual([]);
    expect(needing({ tenants: 'all' })).toEqual([...roles]);
  });

  it('is every owner where the platform says so, whatever their tenant says', () => {
    expect(needsSecondFactor({ ...nothing, tenants: 'none', ofOwners: true }, role('owner'))).toBe(true);
    expect(needsSecondFactor({ ...nothing, tenants: 'none', ofOwners: true }, role('admin'))).toBe(false);
  });
});

it('a sign-in without the factor it needs may show the one there is, and set one up only where there is none', () => {
  expect(missingFactor({ needed: false, shown: false, enrolled: true })).toBeNull();
  expect(missingFactor({ needed: true, shown: true, enrolled: true })).toBeNull();
  expect(missingFactor({ needed: true, shown: false, enrolled: true })).toBe('show');
  expect(missingFactor({ needed: true, shown: false, enrolled: false })).toBe('enrol');
});
