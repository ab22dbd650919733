import fc from 'fast-check';
import { expect, test } from 'vitest';
import { roles } from '../access/index.ts';
import { aclOf, readersOf } from './acl.ts';

test('readers are sorted and each there once, so that the same ACL is always the same value', () => {
  expect(readersOf({ roles: ['viewer', 'admin', 'viewer'], groups: ['hr', 'hr'], users: ['u'] })).toEqual([
    'group:hr',
    'role:admin',
    'role:viewer',
    'user:u',
  ]);
  expect(readersOf({ roles: [], groups: [], users: [] })).toEqual([]);
});

test('an ACL survives being stored, whatever names it holds', () => {
  const acls = fc.record({
    roles: fc.uniqueArray(fc.constantFrom(...roles)),
    groups: fc.uniqueArray(fc.string()),
    users: fc.uniqueArray(fc.string()),
  });
  fc.assert(
    fc.property(acls, (acl) => {
      const back = aclOf(readersOf(acl));
      expect(new Set(back.roles)).toEqual(new Set(acl.roles));
      expect(new Set(back.groups)).toEqual(new Set(acl.groups));
      expect(new Set(back.users)).toEqual(new Set(acl.users));
    }),
  );
});

test('a name that looks like another kind of token stays what it is', () => {
  expect(readersOf({ roles: [], groups: ['role:admin'], users: ['all:documents'] })).toEqual([
    'group:role:admin',
    'user:all:documents',
  ]);
});
