import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClaimMapping, mapClaims } from './claim-mapping.ts';
import { isIssuedUserId, issuedUserId } from './issued-user.ts';

const mapping: ClaimMapping = {
  subject: 'sub',
  role: {
    claim: ['realm', 'roles'],
    values: [
      { value: 'boss', role: 'admin' },
      { value: 'staff', role: 'analyst' },
    ],
    default: null,
  },
  groups: {
    claim: 'groups',
    values: [
      { value: 'a', group: 'payroll' },
      { value: 'a', group: 'everybody' },
    ],
    others: 'drop',
  },
  attributes: [
    { name: 'department', claim: 'dept' },
    { name: 'clearance', claim: ['hr', 'level'] },
  ],
  required: [],
  tenant: null,
};
const claims = { sub: 'alice', realm: { roles: ['other', 'staff', 'boss'] }, groups: ['a', 'b', 7, null] };

describe('a mapping of claims', () => {
  it('takes the first role that is listed, and only the groups that are', () => {
    expect(mapClaims(mapping, claims)).toEqual({
      subject: 'alice',
      role: 'admin',
      groups: ['everybody', 'payroll'],
      attributes: {},
      tenantId: null,
    });
  });

  it('takes what can be an attribute, and leaves out what cannot', () => {
    const attributesOf = (more: object) => mapClaims(mapping, { ...claims, ...more })?.attributes;
    expect(attributesOf({ dept: 'hr', hr: { level: 3 } })).toEqual({ department: 'hr', clearance: 3 });
    expect(attributesOf({ dept: ['hr', 'law'], hr: { level: true } })).toEqual({
      department: ['hr', 'law'],
      clearance: true,
    });
    for (const dept of [
      null,
      {},
      [1],
      [['hr']],
      'x'.repeat(501),
      'a\0',
      Array(51).fill('a'),
      ['x'.repeat(201)],
      ['\0'],
    ]) {
      expect(attributesOf({ dept })).toEqual({});
    }
  });

  it('comes to nobody without a role, unless there is one for everybody', () => {
    const others = { ...claims, realm: { roles: ['other'] } };
    expect(mapClaims(mapping, others)).toBeNull();
    const open = { ...mapping, role: { ...mapping.role, default: 'viewer' } };
    expect(mapClaims(open, others)?.role).toBe('viewer');
    expect(mapClaims(open, { sub: 'alice' })?.role).toBe('viewer');
  });

  it('keeps other groups where it says so, as far as they can be ones', () => {
    const keeping = { ...mapping, groups: { ...mapping.groups, others: 'keep' as const } };
    const told = { ...claims, groups: ['b', ' c', '', 'x'.repeat(201), 'a'] };
    expect(mapClaims(keeping, told)?.groups).toEqual(['b', 'everybody', 'payroll']);
  });

  it('asks for what is required', () => {
    const asking = { ...mapping, required: [{ claim: 'org', value: 'acme' }] };
    expect(mapClaims(asking, claims)).toBeNull();
    expect(mapClaims(asking, { ...claims, org: 'other' })).toBeNull();
    expect(mapClaims(asking, { ...claims, org: ['other', 'acme'] })).not.toBeNull();
  });

  it('reads scopes as a list', () => {
    const byScope = { ...mapping, role: { ...mapping.role, claim: 'scope' } };
    expect(mapClaims(byScope, { ...claims, scope: 'openid staff' })?.role).toBe('analyst');
  });

  it('finds nothing where objects have members by themselves', () => {
    for (const claim of [
      '__proto__',
      'constructor',
      'toString',
      ['realm', '__proto__', 'roles'],
      ['sub', 'length'],
    ]) {
      expect(mapClaims({ ...mapping, subject: claim }, claims)).toBeNull();
    }
  });

  it('never comes to a role or group that is not listed, whatever the claims are', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('sub', 'realm', 'groups', 'role'), fc.jsonValue()), (any) => {
        const found = mapClaims(mapping, any);
        if (found === null) return;
        expect(['admin', 'analyst']).toContain(found.role);
        for (const group of found.groups) expect(['payroll', 'everybody']).toContain(group);
      }),
    );
  });
});

describe('the id of somebody elsewhere', () => {
  it('is a UUID of its own kind, one for each tenant, issuer and subject', () => {
    const text = fc.string().filter((part) => !part.includes('\0'));
    const person = fc.tuple(text, text, text);
    fc.assert(
      fc.property(person, person, (one, other) => {
        const [id, otherId] = [issuedUserId(...one), issuedUserId(...other)];
        expect(isIssuedUserId(id)).toBe(true);
        expect(id === otherId).toBe(one.every((part, place) => part === other[place]));
      }),
    );
    expect(isIssuedUserId('01890a5d-ac96-774b-bcce-b302099a8057')).toBe(false);
  });
});
