import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type Principal, permissionsOfRole, type Role } from '../../src/access/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createNotifications, type Notifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import { createRouting, createRoutingStore, type Routing } from '../../src/routing/index.ts';
import type { DescribedProvider } from '../../src/routing/provider-set-up.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { addTenant } from './tenants.ts';

export const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');
const tenants = { acme: newId(), other: newId() };

export function principal(
  slug: keyof typeof tenants,
  role: Role = 'admin',
  actsInNamedTenant = false,
): Principal {
  const tenantId = tenants[slug];
  return {
    tenant: {
      id: tenantId,
      slug,
      name: slug,
      tier: 'starter',
      region: 'eu',
      status: 'active',
      timeZone: 'UTC',
    },
    tenantId,
    keyId: `key-of-${slug}`,
    userId: null,
    role,
    groups: [],
    permissions: new Set(permissionsOfRole[role]),
    readerTokens: [],
    actsInNamedTenant,
    internal: false,
  };
}
export const acme = principal('acme');
export const other = principal('other');
export const owner = principal('acme', 'owner');

/** Routing on a database with two tenants, whose providers and routes are gone after each test. */
export function routingSuite() {
  let test: TestDatabase;
  let notifications: Notifications[] = [];

  beforeAll(async () => {
    test = await createTestDatabase();
    for (const [slug, id] of Object.entries(tenants)) await addTenant(test.database, id, slug);
  });
  afterAll(() => test.drop());
  beforeEach(async () => {
    await sql`delete from model_routes`.execute(test.database.platform);
    await sql`delete from providers`.execute(test.database.platform);
  });
  afterEach(async () => {
    for (const listener of notifications) await listener.stop();
    notifications = [];
  });

  return {
    database: () => test.database,
    /** One instance's, which hears of what others change. */
    async instance(masterKey = Buffer.alloc(32, 1)): Promise<Routing> {
      const listener = createNotifications(test.url, systemClock, log);
      const routing = createRouting({
        store: createRoutingStore(test.database),
        secretBox: createSecretBox(masterKey, systemRandom),
        clock: systemClock,
        newId,
        random: systemRandom,
        log,
        knowledge: { latencyMs: () => null, estimate: () => null },
        environmentProviders: [
          { name: 'openai', kind: 'openai', baseUrl: 'https://api.openai.com/v1/', apiKey: 'sk-env' },
        ],
        subscribe: (onChange, onGap) => listener.subscribe('routing_changed', onChange, onGap),
      });
      await routing.start();
      await listener.start();
      notifications.push(listener);
      return routing;
    },
  };
}

export const described = (more: Partial<DescribedProvider> = {}): DescribedProvider => ({
  kind: 'openai',
  baseUrl: 'https://models.example.com/v1',
  keys: [{ value: 'sk-test-0123456789abcdef', weight: 1 }],
  awsRegion: null,
  projectId: null,
  maxConcurrent: null,
  timeouts: {},
  ...more,
});
export const given = (name: string, more: Partial<DescribedProvider> = {}) => ({ name, ...described(more) });
export const key = (value: string, weight = 1) => [{ value, weight }];
export const to = (provider: string, model = 'm') => ({
  tiers: [{ targets: [{ provider, model, weight: 1 }] }],
});
export const keyUsed = (routing: Routing, who: Principal, model: string) =>
  routing.resolve(who, model).tiers[0]?.[0]?.provider.keys[0]?.value ?? null;
