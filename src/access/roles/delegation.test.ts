import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Permission, permissions, roles, within } from '../permissions.ts';
import { allDocumentsToken, type Principal, readerTokensOf } from '../principal.ts';
import { refuseGrantBeyond } from './delegation.ts';
import { builtInRole, customRole, grantablePermissions, type RoleFacts } from './role-facts.ts';

const own = fc
  .record({
    name: fc.constantFrom('editor', 'auditor', 'keeper'),
    permissions: fc.subarray([...permissions]),
  })
  .map(customRole);
const anyRole = fc.oneof(
  own,
  fc.constantFrom(...roles).map((name): RoleFacts => {
    const role = builtInRole(name);
    if (!role) throw new Error(`${name} is built in`);
    return role;
  }),
);
const groups = fc.subarray(['hr', 'payroll', 'legal']);
const scopes = fc.oneof(
  fc.constant<string[]>([]),
  fc.subarray(['documents:*', 'keys:manage', 'models:call', 'queries:run', 'costs:*'], { minLength: 1 }),
);

function holder(role: RoleFacts, held: readonly string[], heldScopes: readonly string[]): Principal {
  const caller = { role: role.name, groups: held, userId: null, keyId: 'maker' };
  return {
    ...caller,
    permissions: new Set(within(role.permissions, heldScopes)),
    readerTokens: readerTokensOf(caller),
  } as unknown as Principal;
}

const accepts = (maker: Principal, grant: Parameters<typeof refuseGrantBeyond>[1]) => {
  try {
    refuseGrantBeyond(maker, grant);
    return true;
  } catch (error) {
    expect((error as { code: string }).code).toBe('forbidden');
    return false;
  }
};

describe('delegation', () => {
  it('whatever is granted, the new holder can do and read nothing that its maker cannot', () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyRole, groups, scopes, anyRole, groups, scopes, (role, held, heldScopes, given, g, s) => {
        const maker = holder(role, held, heldScopes);
        if (!accepts(maker, { role: given, groups: g, scopes: s })) return;
        accepted++;
        const made = holder(given, g, s);
        for (const permission of made.permissions) expect(maker.permissions).toContain(permission);
        expect(given.name === 'owner').toBe(given.name === 'owner' && role.name === 'owner');
        const reads = ['documents:read', 'documents:write', 'queries:run'] as const;
        if (!reads.some((permission) => made.permissions.has(permission))) return;
        if (maker.readerTokens.includes(allDocumentsToken)) return;
        const tokens = made.readerTokens.filter((token) => token !== 'user:maker');
        for (const token of tokens) expect(maker.readerTokens).toContain(token);
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it('a role of a tenant’s own never holds what belongs to the platform’s owners', () => {
    const everything = customRole({ name: 'everything', permissions: [...permissions, 'made:up'] });
    expect(everything.permissions).toEqual(permissions.filter((p) => grantablePermissions.includes(p)));
    for (const ours of ['tenants:manage', 'billing:manage'] satisfies Permission[]) {
      expect(everything.permissions).not.toContain(ours);
    }
    expect(everything.readsAllDocuments).toBe(false);
  });

  it('an admin’s twin by permissions cannot make an admin, who would read every document', () => {
    const twin = holder(customRole({ name: 'twin', permissions: grantablePermissions }), [], []);
    const admin = builtInRole('admin') as RoleFacts;
    expect(accepts(twin, { role: admin, groups: [], scopes: [] })).toBe(false);
    expect(accepts(holder(admin, [], []), { role: admin, groups: ['hr'], scopes: [] })).toBe(true);
  });
});
