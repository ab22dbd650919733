import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAccess, type TestAccess } from '../../../test/harness/access.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { type Principal, platformPrincipal, type TenantFacts } from '../index.ts';

let database: TestDatabase;
let here: TestAccess;
let there: TestAccess;
let tenant: TenantFacts;
let owner: Principal;

beforeAll(async () => {
  database = await createTestDatabase();
  here = await startAccess(database);
  there = await startAccess(database);
  tenant = await here.tenant('north');
  owner = platformPrincipal(tenant);
});
afterAll(async () => {
  await here.stop();
  await there.stop();
  await database.drop();
});

const plain = { name: 'a key', role: 'analyst', groups: [], scopes: [], userId: null, expiresAt: null };
const make = (more: object = {}) => here.access.createKeyAsPlatform(tenant, { ...plain, ...more });
const answerOf = async (at: TestAccess, key: string): Promise<string> => {
  try {
    return (await at.access.authenticate(key, undefined)).keyId;
  } catch (error) {
    return (error as { code: string }).code;
  }
};
const principalAt = async (at: TestAccess, key: string) => at.access.authenticate(key, undefined);

describe('a key that is rotated', () => {
  it('works with both secrets until the grace has passed, on every instance, under the same id', async () => {
    const { row, key } = await make();
    expect(await answerOf(there, key)).toBe(row.id);
    const rotated = await here.access.rotateKey(owner, row.id, 3_600);
    expect(rotated.key).not.toBe(key);
    expect(rotated.key.slice(3, 15)).toBe(row.id);
    for (const at of [here, there]) {
      await expect.poll(() => answerOf(at, rotated.key)).toBe(row.id);
      expect(await answerOf(at, key)).toBe(row.id);
    }
    for (const at of [here, there]) at.advance(3_601_000);
    try {
      for (const at of [here, there]) {
        expect(await answerOf(at, rotated.key)).toBe(row.id);
        expect(at.access.principalOfKey(row.id, at.clock.now().getTime())?.keyId).toBe(row.id);
        await expect.poll(() => synchronously(at, key)).toBe('refused');
      }
    } finally {
      for (const at of [here, there]) at.advance(-3_601_000);
    }
  });

  it('without grace leaves the secret before dead at once, and everywhere soon', async () => {
    const { row, key } = await make();
    expect(await answerOf(there, key)).toBe(row.id);
    const { key: next } = await here.access.rotateKey(owner, row.id, 0);
    expect(await answerOf(here, key)).toBe('unauthenticated');
    await expect.poll(() => answerOf(there, key)).toBe('unauthenticated');
    expect(await answerOf(there, next)).toBe(row.id);
  });

  it('twice has no use for the first secret, and revoked none for any', async () => {
    const { row, key } = await make();
    const second = await here.access.rotateKey(owner, row.id, 3_600);
    const third = await here.access.rotateKey(owner, row.id, 3_600);
    expect(await answerOf(here, key)).toBe('unauthenticated');
    expect(await answerOf(here, second.key)).toBe(row.id);
    await here.access.revokeKey(owner, row.id);
    for (const one of [second.key, third.key]) {
      expect(await answerOf(here, one)).toBe('unauthenticated');
      await expect.poll(() => answerOf(there, one)).toBe('unauthenticated');
    }
    await expect(here.access.rotateKey(owner, row.id, 0)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is not given to whoever could not have made it', async () => {
    const { row } = await make({ role: 'owner' });
    const admin = await principalAt(here, (await make({ role: 'admin' })).key);
    await expect(here.access.rotateKey(admin, row.id, 0)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(here.access.changeKey(admin, row.id, { name: 'mine' })).rejects.toMatchObject({
      code: 'forbidden',
    });
    const internal = await make({ internal: true });
    await expect(here.access.rotateKey(admin, internal.row.id, 0)).rejects.toMatchObject({
      code: 'forbidden',
    });
    const other = platformPrincipal(await here.tenant('south'));
    await expect(here.access.rotateKey(other, row.id, 0)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is none of the configuration', async () => {
    await here.access.acceptAdminKey('test-admin-key-not-a-secret', tenant);
    await expect(here.access.rotateKey(owner, 'admin-key', 0)).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('allow-lists of a key', () => {
  it('are changed everywhere within a moment', async () => {
    const { row, key } = await make();
    expect((await principalAt(there, key)).models).toBeUndefined();
    await here.access.changeKey(owner, row.id, {
      name: 'renamed',
      ipAllowList: ['192.0.2.0/24'],
      modelAllowList: ['fast'],
    });
    await expect.poll(async () => (await principalAt(there, key)).models?.has('slow')).toBe(false);
    expect((await principalAt(there, key)).addresses?.has('198.51.100.1')).toBe(false);
    await here.access.changeKey(owner, row.id, { ipAllowList: [], modelAllowList: [] });
    await expect.poll(async () => (await principalAt(there, key)).models).toBeUndefined();
  });

  it('are refused with the field that is wrong', async () => {
    const { row } = await make();
    const wrong = (path: string) => ({ code: 'invalid', errors: [expect.objectContaining({ path })] });
    await expect(
      here.access.changeKey(owner, row.id, { ipAllowList: ['10.0.0.0/99'] }),
    ).rejects.toMatchObject(wrong('ip_allow_list.0'));
    await expect(
      here.access.createKey(owner, { ...plain, modelAllowList: ['fast', 'a b'] }),
    ).rejects.toMatchObject(wrong('model_allow_list.1'));
    await expect(here.access.changeTenant('north', { ipAllowList: ['nowhere'] })).rejects.toMatchObject(
      wrong('ip_allow_list.0'),
    );
  });

  it('cannot be got around by another key', async () => {
    const { key } = await make({ role: 'admin', modelAllowList: ['fast'] });
    const restricted = await principalAt(here, key);
    await expect(here.access.createKey(restricted, plain)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(
      here.access.changeKey(restricted, restricted.keyId, { modelAllowList: [] }),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('hold for a token that stands for the key', async () => {
    const { row, key } = await make({ modelAllowList: ['fast'] });
    const { accessToken } = await here.tokens.byClientCredentials(row.id, key);
    expect((await principalAt(here, accessToken)).models?.has('slow')).toBe(false);
  });
});

/** As warm requests are answered: what is not known here would be looked for in the database, whose clock stands. */
function synchronously(at: TestAccess, key: string): string {
  try {
    const caller = at.access.authenticate(key, undefined, () => {
      throw new Error('asks the database');
    });
    return caller instanceof Promise ? 'asks' : 'accepted';
  } catch {
    return 'refused';
  }
}
