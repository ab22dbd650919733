import { type Access, createAccess, createAccessStore, type Role } from '../../src/access/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createNotifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';
import type { TestDatabase } from './database.ts';

type Given = Partial<Parameters<typeof createAccess>[0]>;

/** Tenants and keys on a test's database, not started. By itself it hears of no change that another instance makes. */
export function createTestAccess({ database }: Pick<TestDatabase, 'database'>, given: Given = {}): Access {
  const clock = given.clock ?? systemClock;
  return createAccess({
    store: createAccessStore(database),
    clock,
    newId: createIds(clock, systemRandom),
    random: systemRandom,
    log: createLog('silent'),
    countFailedAuthentication: () => {},
    countCrossTenantAttempt: () => {},
    subscribe: () => {},
    ...given,
  });
}

/** One instance's tenants and keys, which hears of changes by others; several may share a database. */
export async function startAccessInstance(test: TestDatabase, given: Given = {}) {
  const notifications = createNotifications(test.url, given.clock ?? systemClock, createLog('silent'));
  const access = createTestAccess(test, {
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
    ...given,
  });
  await access.start();
  await notifications.start();
  return {
    access,
    async stop(): Promise<void> {
      await access.stop();
      await notifications.stop();
    },
  };
}

/** An API key in the tenant with that slug, made when absent. */
export async function keyIn(
  access: Access,
  slug: string,
  role: Role,
  groups: string[] = [],
): Promise<string> {
  if (!access.tenant(slug)) await access.createTenant({ name: slug, slug, tier: 'starter', region: 'eu' });
  const tenant = access.tenant(slug);
  if (!tenant) throw new Error(`no tenant ${slug}`);
  const given = { name: `${role} of ${slug}`, role, groups, scopes: [], userId: null, expiresAt: null };
  return (await access.createKeyAsPlatform(tenant, given)).key;
}
