import { createPublicKey } from 'node:crypto';
import { jwtVerify } from 'jose';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAccess, type TestAccess, testParties } from '../../../test/harness/access.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { platformPrincipal, type TenantFacts } from '../index.ts';

/*
 * Two instances on one database: what one gives, the other accepts; what one ends, the other refuses.
 */

let database: TestDatabase;
let here: TestAccess;
let there: TestAccess;
let tenant: TenantFacts;

beforeAll(async () => {
  database = await createTestDatabase();
  here = await startAccess(database);
  there = await startAccess(database);
  tenant = await here.tenant('north');
});
afterAll(async () => {
  await here.stop();
  await there.stop();
  await database.drop();
});

let people = 0;
const somebody = (role = 'analyst') => here.user(tenant, `person${++people}@north.example`, role);
const answerOf = async (at: TestAccess, token: string): Promise<string> => {
  try {
    return (await at.access.authenticate(token, undefined)).role;
  } catch (error) {
    return (error as { code: string }).code;
  }
};
const accepted = (at: TestAccess, token: string) =>
  expect.poll(() => answerOf(at, token)).not.toBe('unauthenticated');
const refusedSoon = (at: TestAccess, token: string) =>
  expect.poll(() => answerOf(at, token)).toBe('unauthenticated');
interface PublishedKey {
  readonly kid: string;
  readonly kty: string;
}
const publishedBy = (at: TestAccess): PublishedKey[] => JSON.parse(at.tokens.keySet()).keys;
const kidsOf = (at: TestAccess) => publishedBy(at).map(({ kid }) => kid);
const run = (statement: ReturnType<typeof sql>) => statement.execute(database.database.platform);

describe('an access token', () => {
  it('tells who holds it, and is verified by the published keys alone', async () => {
    const userId = await somebody('operator');
    const { accessToken, expiresInSeconds } = await here.tokens.ofUser(userId);
    expect(expiresInSeconds).toBe(900);
    const published = publishedBy(there);
    const { payload, protectedHeader } = await jwtVerify(
      accessToken,
      (header: { kid?: string }) =>
        createPublicKey({
          key: { ...published.find(({ kid }) => kid === header.kid) },
          format: 'jwk',
        }) as never,
      testParties,
    );
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' });
    expect(payload).toMatchObject({ sub: userId, tenant: tenant.id, role: 'operator', groups: [] });
    expect(payload.permissions).toContain('documents:write');
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(900);
    expect(JSON.stringify(published)).not.toContain('"d"');
  });

  it('ends after 15 minutes and the minute that clocks may differ', async () => {
    const { accessToken } = await here.tokens.ofUser(await somebody());
    expect(await answerOf(here, accessToken)).toBe('analyst');
    here.advance(16 * 60_000 + 1_000);
    try {
      expect(await answerOf(here, accessToken)).toBe('unauthenticated');
    } finally {
      here.advance(-16 * 60_000 - 1_000);
    }
  });

  it('of a suspended tenant is refused as such, at once', async () => {
    const other = await here.tenant('sleepy');
    const { accessToken } = await here.tokens.ofUser(await here.user(other, 'x@sleepy.example', 'analyst'));
    await expect.poll(() => answerOf(there, accessToken)).toBe('analyst');
    await here.access.changeTenant('sleepy', { status: 'suspended' });
    expect(await answerOf(here, accessToken)).toBe('tenant_suspended');
    await expect.poll(() => answerOf(there, accessToken)).toBe('tenant_suspended');
  });

  it.each([
    ['is disabled', sql`disabled_at = now()`],
    ['has another role', sql`role = 'viewer'`],
    ['has other groups', sql`groups = '{hr}'`],
    ['has another password', sql`password_hash = 'x'`],
  ])('made before its user %s is refused on every instance', async (_what, change) => {
    const userId = await somebody();
    const { accessToken } = await here.tokens.ofUser(userId);
    await accepted(here, accessToken);
    await accepted(there, accessToken);
    await run(sql`update users set ${change} where id = ${userId}`);
    await refusedSoon(here, accessToken);
    await refusedSoon(there, accessToken);
  });

  it('outlives a change of its user that it does not tell of', async () => {
    const userId = await somebody();
    const { accessToken } = await here.tokens.ofUser(userId);
    await run(sql`update users set failed_sign_ins = 1, updated_at = now() where id = ${userId}`);
    const other = await here.tokens.ofUser(userId);
    await here.tokens.revoke(other.accessToken);
    await refusedSoon(there, other.accessToken);
    expect(await answerOf(there, accessToken)).toBe('analyst');
  });

  it('of a deleted user is refused on every instance', async () => {
    const userId = await somebody();
    const { accessToken } = await here.tokens.ofUser(userId);
    await accepted(there, accessToken);
    await run(sql`delete from users where id = ${userId}`);
    await refusedSoon(here, accessToken);
    await refusedSoon(there, accessToken);
  });

  it.each(['token', 'user', 'tenant'])(
    'is refused everywhere once its %s is revoked, also after a start',
    async (kind) => {
      const own = await here.tenant(`revoking-${kind}`);
      const userId = await here.user(own, `y@${own.slug}.example`, 'analyst');
      const { accessToken } = await here.tokens.ofUser(userId);
      await accepted(there, accessToken);
      const admin = platformPrincipal(own);
      if (kind === 'token') await here.tokens.revoke(accessToken);
      if (kind === 'user') await here.tokens.revokeUser(admin, userId);
      if (kind === 'tenant') await here.tokens.revokeTenant(admin);
      expect(await answerOf(here, accessToken)).toBe('unauthenticated');
      await refusedSoon(there, accessToken);
      const third = await startAccess(database);
      try {
        expect(await answerOf(third, accessToken)).toBe('unauthenticated');
      } finally {
        await third.stop();
      }
      await accepted(there, (await here.tokens.ofUser(userId)).accessToken);
    },
  );

  it('of a user of another tenant cannot be revoked', async () => {
    const other = await here.tenant('foreign');
    const userId = await somebody();
    await expect(here.tokens.revokeUser(platformPrincipal(other), userId)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('a refresh token', () => {
  it('gives the next tokens once, with the rights of now', async () => {
    const userId = await somebody('analyst');
    const first = await here.tokens.ofUser(userId);
    await run(sql`update users set role = 'operator' where id = ${userId}`);
    const second = await there.tokens.byRefreshToken(first.refreshToken ?? '');
    expect(await answerOf(here, second.accessToken)).toBe('operator');
    expect(second.refreshToken).not.toBe(first.refreshToken);
  });

  it('used twice ends its whole sign-in, on every instance, and says nothing else to whoever did it', async () => {
    const first = await here.tokens.ofUser(await somebody());
    const second = await here.tokens.byRefreshToken(first.refreshToken ?? '');
    const third = await there.tokens.byRefreshToken(second.refreshToken ?? '');
    await accepted(there, third.accessToken);
    const unknown = await here.tokens.byRefreshToken(`ghr_${'A'.repeat(43)}`).catch((error) => error.message);
    await expect(here.tokens.byRefreshToken(first.refreshToken ?? '')).rejects.toMatchObject({
      code: 'unauthenticated',
      message: unknown,
    });
    await expect(there.tokens.byRefreshToken(third.refreshToken ?? '')).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    await refusedSoon(here, third.accessToken);
    await refusedSoon(there, third.accessToken);
    const { rows } = (await run(
      sql`select count(*)::int as n from audit_entries where action = 'token_family.changed' and entry like '%reused%'`,
    )) as { rows: { n: number }[] };
    expect(rows[0]?.n).toBeGreaterThan(0);
  });

  it('used by many at once works for at most one, and then for none', async () => {
    const { refreshToken } = await here.tokens.ofUser(await somebody());
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => (i % 2 ? here : there).tokens.byRefreshToken(refreshToken ?? '')),
    );
    const won = tries.filter((one) => one.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const next = won[0]?.value.refreshToken ?? '';
    await expect(here.tokens.byRefreshToken(next)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('is of no use after 30 days, after it was given back, or when its user is disabled', async () => {
    const late = await here.tokens.ofUser(await somebody());
    here.advance(30 * 24 * 3_600_000 + 1);
    await expect(here.tokens.byRefreshToken(late.refreshToken ?? '')).rejects.toThrow(/not valid any more/);
    here.advance(-30 * 24 * 3_600_000 - 1);
    const given = await here.tokens.ofUser(await somebody());
    await accepted(there, given.accessToken);
    await there.tokens.revoke(given.refreshToken ?? '');
    await expect(here.tokens.byRefreshToken(given.refreshToken ?? '')).rejects.toThrow(/not valid any more/);
    await refusedSoon(here, given.accessToken);
    const userId = await somebody();
    const off = await here.tokens.ofUser(userId);
    await run(sql`update users set disabled_at = now() where id = ${userId}`);
    await expect(here.tokens.byRefreshToken(off.refreshToken ?? '')).rejects.toThrow(/not valid any more/);
    await expect(here.tokens.ofUser(userId)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('is of no use once its user has another password', async () => {
    const userId = await somebody();
    const { refreshToken } = await here.tokens.ofUser(userId);
    await run(sql`update users set groups = '{other}' where id = ${userId}`);
    const next = await here.tokens.byRefreshToken(refreshToken ?? '');
    await run(sql`update users set password_hash = 'another' where id = ${userId}`);
    await expect(here.tokens.byRefreshToken(next.refreshToken ?? '')).rejects.toThrow(/not valid any more/);
  });

  it('is stored only as a hash', async () => {
    const { refreshToken } = await here.tokens.ofUser(await somebody());
    const { rows } = (await run(sql`select refresh_tokens::text as row from refresh_tokens`)) as {
      rows: { row: string }[];
    };
    expect(rows.map(({ row }) => row).join()).not.toContain(refreshToken?.slice(4, 20));
  });
});

describe('an API key exchanged for a token', () => {
  it('lends the token its rights for as long as it has them, on every instance', async () => {
    const { key, row } = await here.access.createKeyAsPlatform(tenant, {
      name: 'application',
      role: 'analyst',
      groups: ['hr'],
      scopes: ['models:*'],
      userId: null,
      expiresAt: null,
    });
    const { accessToken, refreshToken } = await here.tokens.byClientCredentials(row.id, key);
    expect(refreshToken).toBeNull();
    await expect.poll(() => answerOf(there, accessToken)).toBe('analyst');
    const principal = await there.access.authenticate(accessToken, undefined);
    expect(principal).toMatchObject({ keyId: row.id, groups: ['hr'] });
    expect([...principal.permissions].every((permission) => permission.startsWith('models:'))).toBe(true);
    expect((await here.tokens.byClientCredentials(row.id, key.slice(15))).accessToken).toMatch(/^eyJ/);
    await here.access.revokeKey(platformPrincipal(tenant), row.id);
    expect(await answerOf(here, accessToken)).toBe('unauthenticated');
    await refusedSoon(there, accessToken);
  });

  it('needs the id and the secret of the same key', async () => {
    const make = (name: string) =>
      here.access.createKeyAsPlatform(tenant, {
        name,
        role: 'viewer',
        groups: [],
        scopes: [],
        userId: null,
        expiresAt: null,
      });
    const [one, other] = [await make('one'), await make('other')];
    for (const [id, secret] of [
      [one.row.id, other.key],
      [one.row.id, other.key.slice(15)],
      [one.row.id, ''],
      ['', one.key],
      [one.row.id, `${one.key.slice(0, -1)}0`],
    ] as const) {
      if (secret === one.key && id === one.row.id) continue;
      await expect(here.tokens.byClientCredentials(id, secret)).rejects.toMatchObject({
        code: 'unauthenticated',
      });
    }
  });
});

describe('the keys that sign', () => {
  it('are published before they sign, and believed until what they signed has ended', async () => {
    const before = kidsOf(here);
    const { accessToken } = await here.tokens.ofUser(await somebody());
    const made = await here.tokens.rotateSigningKey(false);
    expect(kidsOf(here)).toEqual([...before, made.id]);
    await expect.poll(() => there.tokens.keySet()).toContain(made.id);
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
    expect(kidOf((await there.tokens.ofUser(await somebody())).accessToken)).toBe(before.at(-1));
    for (const at of [here, there]) at.advance(10 * 60_000 + 1_000);
    const fresh = (await there.tokens.ofUser(await somebody())).accessToken;
    expect(kidOf(fresh)).toBe(made.id);
    expect(await answerOf(here, fresh)).toBe('analyst');
    // Verified anew, by an instance that never saw it.
    const third = await startAccess(database);
    third.advance(10 * 60_000 + 1_000);
    expect(await answerOf(third, accessToken)).toBe('analyst');
    await third.stop();
  });

  it('can be given up at once', async () => {
    const { accessToken } = await here.tokens.ofUser(await somebody());
    expect(await answerOf(here, accessToken)).toBe('analyst');
    await accepted(there, accessToken);
    const made = await here.tokens.rotateSigningKey(true);
    expect(await answerOf(here, accessToken)).toBe('unauthenticated');
    await refusedSoon(there, accessToken);
    expect(kidsOf(here)).toEqual([made.id]);
    const third = await startAccess(database);
    third.advance(11 * 60_000);
    expect(await answerOf(third, accessToken)).toBe('unauthenticated');
    await third.stop();
    await accepted(there, (await here.tokens.ofUser(await somebody())).accessToken);
  });
});
