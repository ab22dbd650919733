import { describe, expect, it } from 'vitest';
import type { TenantFacts } from '../principal.ts';
import { createPasswordHasher } from './password-hash.ts';
import { createPasswordSignIn } from './password-sign-in.ts';
import type { UserRow } from './people.store.ts';

const password = 'velvet-harbour-oxide-lantern';
const hasher = createPasswordHasher();
const now = new Date('2026-01-01T00:00:00Z');
const user = (email: string, change: Partial<UserRow> = {}): UserRow => ({
  id: `id of ${email}`,
  tenant_id: 'acme',
  email,
  name: null,
  role: 'analyst',
  groups: [],
  attributes: {},
  password_hash: null,
  disabled_at: null,
  email_verified_at: null,
  created_at: now,
  updated_at: now,
  ...change,
});

describe('a refused sign-in', () => {
  it('took the same steps and hashed as often, whatever was the reason', async () => {
    const password_hash = await hasher.hash(password);
    const users = [
      user('known@example.org', { password_hash }),
      user('closed@example.org', { password_hash, disabled_at: now }),
      user('without@example.org'),
      user('homeless@example.org', { password_hash, tenant_id: 'gone' }),
    ];
    let steps: string[] = [];
    let passed = 0;
    const signIn = createPasswordSignIn({
      store: {
        userByEmail: async (email) => {
          steps.push('look up');
          return users.find((row) => row.email === email);
        },
      },
      hasher: {
        verify: (stored, given) => {
          steps.push('hash');
          return hasher.verify(stored, given);
        },
      },
      tries: {
        ofPassword: async () => {
          steps.push('count');
          return async () => void passed++;
        },
      },
      secondFactors: { check: async () => {} },
      policy: {
        factorsOf: async () => ({ otp: false, passkeys: 0 }),
        needs: async () => false,
        refuseTokensWithoutCodes: async () => {},
      },
      tenant: (id) => (id === 'acme' ? ({ id } as TenantFacts) : undefined),
      note: async () => void steps.push('note'),
      countFailedAuthentication: () => {},
    });
    const workOf = async (email: string, given: string) => {
      steps = [];
      const refused = await signIn.check({ email, password: given }, '192.0.2.1').catch((error) => error);
      return { steps, code: refused.code, detail: refused.message };
    };
    const reasons = [
      await workOf('nobody@example.org', password),
      await workOf('known@example.org', 'wrong'),
      await workOf('closed@example.org', password),
      await workOf('without@example.org', password),
      await workOf('homeless@example.org', password),
    ];
    expect(reasons[0]).toMatchObject({
      steps: ['look up', 'count', 'hash', 'note'],
      code: 'unauthenticated',
    });
    for (const reason of reasons) expect(reason).toEqual(reasons[0]);
    expect(passed).toBe(0);
    expect((await signIn.check({ email: 'known@example.org', password }, '192.0.2.1')).user.id).toBe(
      'id of known@example.org',
    );
  });

  it('hashes for nobody with the very parameters of a real password', async () => {
    const hash = await hasher.hash(password);
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    // What a guesser could find out by the password that stands in for none.
    expect(await hasher.verify(null, 'no user has this password')).toBe(false);
  });
});
