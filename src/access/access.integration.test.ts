import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAccessInstance } from '../../test/harness/access-instance.ts';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { type Principal, platformPrincipal } from './index.ts';

let test: TestDatabase;
let clockOffsetMs = 0;
const clock: Clock = { ...systemClock, now: () => new Date(Date.now() + clockOffsetMs) };
const counted = { failed: 0, crossTenant: 0 };

const instance = () =>
  startAccessInstance(test, {
    clock,
    countFailedAuthentication: () => counted.failed++,
    countCrossTenantAttempt: () => counted.crossTenant++,
  });

let here: Awaited<ReturnType<typeof instance>>;
let there: Awaited<ReturnType<typeof instance>>;

beforeAll(async () => {
  test = await createTestDatabase();
  here = await instance();
  there = await instance();
});
afterAll(async () => {
  await here.stop();
  await there.stop();
  await test.drop();
});

const plain = { groups: [], scopes: [], userId: null, expiresAt: null };

async function tenantWithKey(slug: string, role: 'analyst' | 'admin' | 'owner') {
  const row = await here.access.createTenant({ name: slug, slug, tier: 'starter', region: 'eu' });
  const tenant = here.access.tenant(row.slug);
  if (!tenant) throw new Error('the tenant is not known');
  const { key } = await here.access.createKeyAsPlatform(tenant, { ...plain, name: 'first', role });
  return { tenant, key };
}

describe('keys', () => {
  it('work at once where they were made, and on another instance', async () => {
    const { tenant, key } = await tenantWithKey('acme', 'analyst');
    const principal = here.access.authenticate(key, undefined);
    expect(principal).not.toBeInstanceOf(Promise);
    expect((principal as Principal).tenantId).toBe(tenant.id);
    expect((await there.access.authenticate(key, undefined)).role).toBe('analyst');
  });

  it('stop working at once where they were revoked, and soon on another instance', async () => {
    const { tenant, key } = await tenantWithKey('revoking', 'admin');
    const principal = await here.access.authenticate(key, undefined);
    await there.access.authenticate(key, undefined);
    await here.access.revokeKey(platformPrincipal(tenant), principal.keyId);
    await expect(async () => here.access.authenticate(key, undefined)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    await expect
      .poll(async () => {
        try {
          await there.access.authenticate(key, undefined);
          return 'accepted';
        } catch (error) {
          return (error as { code: string }).code;
        }
      })
      .toBe('unauthenticated');
    await expect(here.access.revokeKey(platformPrincipal(tenant), principal.keyId)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('expire by the clock', async () => {
    const { tenant } = await tenantWithKey('expiring', 'admin');
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    const made = await here.access.createKeyAsPlatform(tenant, {
      ...plain,
      name: 'short',
      role: 'viewer',
      expiresAt,
    });
    await here.access.authenticate(made.key, undefined);
    clockOffsetMs = 61_000;
    try {
      await expect(async () => here.access.authenticate(made.key, undefined)).rejects.toMatchObject({
        code: 'unauthenticated',
      });
    } finally {
      clockOffsetMs = 0;
    }
  });

  it('never grant more than their maker holds', async () => {
    const { key } = await tenantWithKey('delegating', 'admin');
    const admin = await here.access.authenticate(key, undefined);
    for (const role of ['viewer', 'analyst', 'operator', 'admin'] as const) {
      await here.access.createKey(admin, { ...plain, name: role, role });
    }
    await expect(here.access.createKey(admin, { ...plain, name: 'up', role: 'owner' })).rejects.toMatchObject(
      {
        code: 'forbidden',
      },
    );
    const scoped = await here.access.createKey(admin, {
      ...plain,
      name: 'scoped',
      role: 'admin',
      scopes: ['keys:manage', 'models:*'],
    });
    const holder = await here.access.authenticate(scoped.key, undefined);
    await expect(
      here.access.createKey(holder, { ...plain, name: 'wide', role: 'admin' }),
    ).rejects.toMatchObject({
      code: 'forbidden',
    });
    await here.access.createKey(holder, {
      ...plain,
      name: 'narrow',
      role: 'analyst',
      scopes: ['models:call'],
    });
    await expect(
      here.access.createKey(admin, { ...plain, name: 'typo', role: 'viewer', scopes: ['model:call'] }),
    ).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('tenants', () => {
  it('an owner acts in any tenant by id or slug; others only in their own, and the attempt is counted', async () => {
    const mine = await tenantWithKey('mine', 'admin');
    const other = await tenantWithKey('other', 'owner');
    for (const name of [mine.tenant.id, 'mine']) {
      const acting = await here.access.authenticate(other.key, name);
      expect(acting).toMatchObject({ tenantId: mine.tenant.id, actsInNamedTenant: true, role: 'owner' });
    }
    await expect(async () => here.access.authenticate(other.key, 'absent')).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await here.access.authenticate(mine.key, 'mine')).toMatchObject({ tenantId: mine.tenant.id });
    const before = counted.crossTenant;
    for (const name of ['other', 'absent']) {
      await expect(async () => here.access.authenticate(mine.key, name)).rejects.toMatchObject({
        code: 'forbidden',
      });
    }
    expect(counted.crossTenant).toBe(before + 2);
  });

  it('a slug is taken once', async () => {
    await tenantWithKey('taken', 'admin');
    await expect(tenantWithKey('taken', 'admin')).rejects.toMatchObject({ code: 'conflict' });
  });
});
