import { hash, verify } from '@node-rs/argon2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPasswordHasher } from './password-hash.ts';

const password = 'velvet-harbour-oxide-lantern';

describe('a password', () => {
  const hasher = createPasswordHasher();

  it('is taken as it came: neither cut, nor trimmed, nor in another case or form', async () => {
    const long = 'x'.repeat(199);
    const pairs = [
      [password, password.toUpperCase()],
      [password, ` ${password}`],
      [password, `${password} `],
      [password, `${password}\n`],
      [`${long}a`, `${long}b`],
      [`${long}a`, long],
      [`before\0after-${password}`, 'before'],
      ['caf\u00e9-velvet-harbour', 'cafe\u0301-velvet-harbour'],
    ] as const;
    for (const [given, other] of pairs) {
      const stored = await hasher.hash(given);
      expect([given, await hasher.verify(stored, given)]).toEqual([given, true]);
      expect([other, await hasher.verify(stored, other)]).toEqual([other, false]);
    }
  });

  it('is stored under a salt of its own', async () => {
    const stored = [await hasher.hash(password), await hasher.hash(password)];
    expect(new Set(stored).size).toBe(2);
    for (const text of stored)
      expect(text).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  });
});

describe('verifying', () => {
  it('is the same work for somebody, for nobody, and for who has no password', async () => {
    const work: string[] = [];
    const hasher = createPasswordHasher({
      hash: (given, options) => {
        work.push('hash');
        return hash(given, options);
      },
      verify: (stored, given) => {
        work.push(`verify ${/^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$/.exec(String(stored))?.[0]}`);
        return verify(stored, given);
      },
    });
    const stored = await hasher.hash(password);
    // What stands in for nobody's password is made once.
    await hasher.verify(null, password);
    const workOf = async (of: string | null, given: string) => {
      work.length = 0;
      await hasher.verify(of, given);
      return [...work];
    };
    const ofSomebody = await workOf(stored, password);
    expect(ofSomebody).toEqual(['verify $argon2id$v=19$m=19456,t=2,p=1$']);
    expect(await workOf(stored, 'wrong')).toEqual(ofSomebody);
    expect(await workOf(null, password)).toEqual(ofSomebody);
    expect(await workOf(null, 'no user has this password')).toEqual(ofSomebody);
  });

  it('runs four at a time at most, and refuses what is beyond', async () => {
    let running = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const slowly = async <T>(result: T): Promise<T> => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running--;
      return result;
    };
    const hasher = createPasswordHasher({ hash: async () => 'a hash', verify: () => slowly(true) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), async (at) => {
        const tries = Array.from({ length: at }, () => hasher.verify('a hash', password));
        const settled = Promise.allSettled(tries);
        while (waiting.length > 0) waiting.shift()?.();
        const outcomes = await settled;
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(Math.min(at, 4));
        for (const one of outcomes) {
          if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'overloaded' });
        }
      }),
    );
    expect(most).toBe(4);
  });
});
