import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { addTenant } from '../../test/harness/tenants.ts';
import { type Principal, permissionsOfRole, type Role } from '../access/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createNotifications, type Notifications } from '../platform/database/notifications.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import { createSecretBox } from '../platform/secret-box.ts';
import type { DescribedProvider } from './provider-set-up.ts';
import { createRouting, type Routing } from './routing.service.ts';
import { createRoutingStore } from './routing.store.ts';

const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');
const tenants = { acme: newId(), other: newId() };

function principal(slug: keyof typeof tenants, role: Role = 'admin', actsInNamedTenant = false): Principal {
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
const acme = principal('acme');
const other = principal('other');
const owner = principal('acme', 'owner');

let test: TestDatabase;
let notifications: Notifications[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
  for (const [slug, id] of Object.entries(tenants)) {
    await addTenant(test.database, id, slug);
  }
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

async function instance(masterKey = Buffer.alloc(32, 1)): Promise<Routing> {
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
}
const described = (more: Partial<DescribedProvider> = {}): DescribedProvider => ({
  kind: 'openai',
  baseUrl: 'https://models.example.com/v1',
  keys: [{ value: 'sk-test-0123456789abcdef', weight: 1 }],
  awsRegion: null,
  projectId: null,
  maxConcurrent: null,
  timeouts: {},
  ...more,
});
const given = (name: string, more: Partial<DescribedProvider> = {}) => ({ name, ...described(more) });
const key = (value: string, weight = 1) => [{ value, weight }];
const to = (provider: string, model = 'm') => ({ tiers: [{ targets: [{ provider, model, weight: 1 }] }] });
const keyUsed = (routing: Routing, who: Principal, model: string) =>
  routing.resolve(who, model).tiers[0]?.[0]?.provider.keys[0]?.value ?? null;

describe('providers', () => {
  it('belong to the tenant that set them up, or to the platform when an owner named no tenant', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await routing.createProvider(owner, given('shared'));
    await routing.createProvider(principal('other', 'owner', true), given('theirs'));
    const names = (who: Principal) => routing.providers(who).map((provider) => provider.name);
    expect(names(acme).sort()).toEqual(['mine', 'openai', 'shared']);
    expect(names(other).sort()).toEqual(['openai', 'shared', 'theirs']);
    expect(names(owner).sort()).toEqual(['openai', 'shared']);
  });

  it('are usable at once, with a key that is nowhere in the database', async () => {
    const routing = await instance();
    const provider = await routing.createProvider(acme, given('mine'));
    expect(provider).toMatchObject({ keys: [{ hint: 'cdef' }], baseUrl: 'https://models.example.com/v1' });
    expect(keyUsed(routing, acme, 'mine/m')).toBe('sk-test-0123456789abcdef');
    const { rows } = await sql<{ row: string }>`select providers::text as row from providers`.execute(
      test.database.platform,
    );
    expect(rows[0]?.row).not.toContain('sk-test');
    expect(
      (await routing.createProvider(acme, given('short', { keys: key('tiny') }))).keys[0]?.hint,
    ).toBeNull();
    expect((await routing.createProvider(acme, given('open', { keys: null }))).keys).toEqual([]);
  });

  it('of the platform win over the environment’s, and the tenant’s over both', async () => {
    const routing = await instance();
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-env');
    await routing.createProvider(owner, given('openai', { keys: key('sk-platform') }));
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-platform');
    await routing.createProvider(acme, given('openai', { keys: key('sk-tenant') }));
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-tenant');
    expect(keyUsed(routing, other, 'openai/m')).toBe('sk-platform');
  });

  it('have one name each, and an address that may be used', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await expect(routing.createProvider(acme, given('mine'))).rejects.toMatchObject({ code: 'conflict' });
    await routing.createProvider(owner, given('shared'));
    await expect(routing.createProvider(owner, given('shared'))).rejects.toMatchObject({ code: 'conflict' });
    const local = { baseUrl: 'http://127.0.0.1:11434/v1' };
    await expect(routing.createProvider(acme, given('x', local))).rejects.toMatchObject({ code: 'invalid' });
    expect((await routing.createProvider(owner, given('local', local))).localAddressesAllowed).toBe(true);
  });

  it('are deleted by id or name by those whose they are, and not while a route needs them', async () => {
    const routing = await instance();
    const shared = await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    await expect(routing.deleteProvider(acme, 'shared')).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(acme, shared.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(other, 'mine')).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(owner, 'openai')).rejects.toMatchObject({ code: 'not_found' });
    await routing.putRoute(other, 'fast', to('shared'));
    await expect(routing.deleteProvider(owner, 'shared')).rejects.toMatchObject({ code: 'conflict' });
    await routing.deleteRoute(other, 'fast');
    await routing.deleteProvider(owner, shared.id);
    await routing.deleteProvider(acme, 'mine');
    expect(routing.providers(acme).map((provider) => provider.name)).toEqual(['openai']);
  });

  it('whose key was sealed by another master key do not stop the others from working', async () => {
    await (await instance()).createProvider(acme, given('mine'));
    const routing = await instance(Buffer.alloc(32, 2));
    expect(routing.resolve(acme, 'mine/m').tiers[0]?.[0]?.provider.keyProblem).toContain(
      'another master key',
    );
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-env');
  });
});

describe('a provider that is described anew', () => {
  const providerOf = (routing: Routing, who: Principal, name: string) => routing.provider(who, name);

  it('keeps its id, its routes and, when none are given, its keys', async () => {
    const routing = await instance();
    const made = await routing.createProvider(acme, given('mine'));
    await routing.putRoute(acme, 'fast', to('mine'));
    const put = await routing.putProvider(acme, 'mine', described({ keys: null, maxConcurrent: 7 }));
    expect(put).toMatchObject({ id: made.id, settings: { maxConcurrent: 7 } });
    expect(keyUsed(routing, acme, 'fast')).toBe('sk-test-0123456789abcdef');
    await routing.putProvider(acme, made.id, described({ keys: key('sk-test-rotated-0001') }));
    expect(keyUsed(routing, acme, 'fast')).toBe('sk-test-rotated-0001');
    expect(providerOf(routing, acme, 'mine').settings).toEqual({});
    // What was put is in the database, not in this instance's memory only.
    expect(keyUsed(await instance(), acme, 'fast')).toBe('sk-test-rotated-0001');
  });

  it('has several keys with weights, none of which is in the database', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    const keys = [...key('sk-test-aaaaaaaa1111', 3), ...key('sk-test-bbbbbbbb2222', 1)];
    await routing.putProvider(acme, 'mine', described({ keys }));
    const fresh = await instance();
    expect(providerOf(fresh, acme, 'mine').keys).toEqual([
      { value: 'sk-test-aaaaaaaa1111', hint: '1111', weight: 3 },
      { value: 'sk-test-bbbbbbbb2222', hint: '2222', weight: 1 },
    ]);
    const { rows } = await sql<{ row: string }>`select providers::text as row from providers`.execute(
      test.database.platform,
    );
    expect(rows[0]?.row).not.toContain('sk-test');
  });

  it('is another object only where something changed, and keeps the objects of keys that stay', async () => {
    const [routing, neighbour] = [await instance(), await instance()];
    await routing.createProvider(acme, given('mine', { keys: [...key('sk-1'), ...key('sk-2')] }));
    await routing.createProvider(acme, given('still'));
    await expect.poll(() => neighbour.providers(acme).length).toBe(3);
    const before = ['mine', 'still', 'openai'].map((name) => providerOf(neighbour, acme, name));
    // A change of something else makes a new snapshot of the same objects.
    await routing.putRoute(acme, 'fast', to('mine'));
    await expect.poll(() => neighbour.callableRoutes(acme).length).toBe(1);
    expect(['mine', 'still', 'openai'].map((name) => providerOf(neighbour, acme, name))).toSatisfy(
      (after: unknown[]) => after.every((provider, index) => provider === before[index]),
    );
    await routing.putProvider(acme, 'mine', described({ keys: [...key('sk-2'), ...key('sk-3')] }));
    await expect.poll(() => providerOf(neighbour, acme, 'mine') === before[0]).toBe(false);
    expect(providerOf(neighbour, acme, 'still')).toBe(before[1]);
    expect(providerOf(neighbour, acme, 'openai')).toBe(before[2]);
    expect(providerOf(neighbour, acme, 'mine').keys[0]).toBe(before[0]?.keys[1]);
    expect(neighbour.resolve(acme, 'fast').tiers[0]?.[0]?.provider).toBe(providerOf(neighbour, acme, 'mine'));
  });

  it('does not take its keys along to another server', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    const refused = { code: 'invalid', errors: [{ path: 'api_key' }] };
    for (const elsewhere of [
      { baseUrl: 'https://elsewhere.example.com/v1' },
      { baseUrl: 'http://models.example.com/v1' },
      { baseUrl: null },
      { kind: 'anthropic' as const },
    ]) {
      const put = routing.putProvider(acme, 'mine', described({ ...elsewhere, keys: null }));
      await expect(put).rejects.toMatchObject(refused);
    }
    // Another path on the same server is not another server, and whoever knows the key may send it anywhere.
    const baseUrl = 'https://models.example.com/v2';
    expect((await routing.putProvider(acme, 'mine', described({ baseUrl, keys: null }))).baseUrl).toBe(
      baseUrl,
    );
    const moved = described({ baseUrl: 'https://elsewhere.example.com/v1', keys: key('sk-other') });
    expect((await routing.putProvider(acme, 'mine', moved)).keys).toMatchObject([{ value: 'sk-other' }]);
  });

  it('belongs to those who may set it up, and answers two changes at once with a conflict', async () => {
    const routing = await instance();
    const shared = await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    for (const [who, name] of [
      [acme, 'shared'],
      [acme, shared.id],
      [other, 'mine'],
      [owner, 'openai'],
    ] as const) {
      await expect(routing.putProvider(who, name, described())).rejects.toMatchObject({ code: 'not_found' });
    }
    expect(() => routing.provider(other, 'mine')).toThrow(expect.objectContaining({ code: 'not_found' }));
    const puts = await Promise.allSettled(
      [1, 2, 3].map((maxConcurrent) => routing.putProvider(acme, 'mine', described({ maxConcurrent }))),
    );
    expect(puts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    const [lost] = puts.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(lost?.reason).toMatchObject({ code: 'conflict' });
    await routing.putProvider(acme, 'mine', described({ maxConcurrent: 4 }));
    expect(providerOf(routing, acme, 'mine').settings.maxConcurrent).toBe(4);
  });

  it('may stay on this machine where an owner put it, and not be moved there by anybody else', async () => {
    const routing = await instance();
    const named = principal('acme', 'owner', true);
    const local = { baseUrl: 'http://127.0.0.1:11434/v1' };
    await routing.createProvider(named, given('local', local));
    const kept = await routing.putProvider(
      acme,
      'local',
      described({ ...local, keys: null, maxConcurrent: 2 }),
    );
    expect(kept.localAddressesAllowed).toBe(true);
    const other = described({ baseUrl: 'http://127.0.0.1:8080/v1' });
    await expect(routing.putProvider(acme, 'local', other)).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'base_url' }],
    });
    const away = await routing.putProvider(acme, 'local', described());
    expect(away.localAddressesAllowed).toBe(false);
  });

  it('mends keys that cannot be opened', async () => {
    await (await instance()).createProvider(acme, given('mine'));
    const routing = await instance(Buffer.alloc(32, 2));
    await routing.putProvider(acme, 'mine', described({ keys: key('sk-test-again-0001') }));
    expect(providerOf(routing, acme, 'mine').keyProblem).toBeNull();
    expect(keyUsed(routing, acme, 'mine/m')).toBe('sk-test-again-0001');
  });
});

describe('providers of other kinds', () => {
  it('are stored with what their kind needs, at its official address', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('claude', { kind: 'anthropic', baseUrl: null }));
    const bedrock = { kind: 'bedrock', baseUrl: null, awsRegion: 'eu-west-1' } as const;
    await routing.createProvider(acme, given('aws', bedrock));
    const timeouts = { connectMs: 500, totalMs: 60_000 };
    await routing.createProvider(
      acme,
      given('docs', { kind: 'kapa', baseUrl: null, projectId: 'p1', timeouts }),
    );
    const fresh = await instance();
    const shown = (name: string) => {
      const { kind, baseUrl, settings } = fresh.provider(acme, name);
      return [kind, baseUrl, settings];
    };
    expect(shown('claude')).toEqual(['anthropic', 'https://api.anthropic.com/v1', {}]);
    expect(shown('aws')).toEqual([
      'bedrock',
      'https://bedrock-runtime.eu-west-1.amazonaws.com',
      { awsRegion: 'eu-west-1' },
    ]);
    expect(shown('docs')).toEqual(['kapa', 'https://api.kapa.ai', { projectId: 'p1', timeouts }]);
    const ollama = given('x', { kind: 'ollama', baseUrl: null, keys: null });
    await expect(routing.createProvider(acme, ollama)).rejects.toMatchObject({
      errors: [{ path: 'base_url' }],
    });
    expect((await routing.createProvider(owner, ollama)).baseUrl).toBe('http://127.0.0.1:11434/v1');
  });
});

describe('rows of the version before', () => {
  it('are read with their one key, and that version finds the first key of a row of this one', async () => {
    const routing = await instance();
    const made = await routing.createProvider(acme, given('mine'));
    await sql`update providers set sealed_keys = null`.execute(test.database.platform);
    expect(keyUsed(await instance(), acme, 'mine/m')).toBe('sk-test-0123456789abcdef');
    await routing.putProvider(acme, 'mine', described({ keys: [...key('sk-new-1'), ...key('sk-new-2')] }));
    const { rows } = await sql<{ sealed: string }>`select sealed_key as sealed from providers`.execute(
      test.database.platform,
    );
    const box = createSecretBox(Buffer.alloc(32, 1), systemRandom);
    expect(box.open(rows[0]?.sealed ?? '', `provider:${made.id}`)).toBe('sk-new-1');
    // And routes that it writes have what they always had.
    await sql`insert into model_routes (id, tenant_id, name, tiers, created_by, created_at, updated_at)
      values (${newId()}, ${tenants.acme}, 'old', '[{"targets":[{"provider":"mine","model":"m","weight":1}]}]', 'x',
        now(), now())`.execute(test.database.platform);
    expect((await instance()).resolve(acme, 'old')).toMatchObject({
      strategy: 'weighted',
      cache: { mode: 'off' },
    });
  });
});

describe('routes', () => {
  it('keep their strategy and cache, and go back to the usual ones when put without', async () => {
    const routing = await instance();
    const cache = { mode: 'semantic', ttlSeconds: 60, similarityThreshold: 0.9 } as const;
    await routing.putRoute(acme, 'fast', { ...to('openai'), strategy: 'sticky', cache });
    const first = (await instance()).resolve(acme, 'fast');
    expect(first).toMatchObject({ strategy: 'sticky', cache });
    await routing.putRoute(acme, 'fast', to('openai'));
    const second = (await instance()).resolve(acme, 'fast');
    expect(second).toMatchObject({ strategy: 'weighted', cache: { mode: 'off' } });
    expect(second.version).not.toBe(first.version);
  });

  it('are made, replaced, listed and deleted, each in its own scope', async () => {
    const routing = await instance();
    await routing.putRoute(owner, 'fast', to('openai', 'gpt-4o-mini'));
    await routing.putRoute(acme, 'fast', to('openai', 'gpt-4o'));
    await routing.putRoute(acme, 'fast', to('openai', 'gpt-4.1'));
    expect(routing.resolve(acme, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4.1');
    expect(routing.resolve(other, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4o-mini');
    expect(routing.routes(acme)).toHaveLength(1);
    await expect(routing.deleteRoute(other, 'fast')).rejects.toMatchObject({ code: 'not_found' });
    await routing.deleteRoute(acme, 'fast');
    expect(routing.resolve(acme, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4o-mini');
    expect(() => routing.route(acme, 'slow')).toThrow(expect.objectContaining({ code: 'not_found' }));
  });

  it('lead only to providers that their maker can see', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await expect(routing.putRoute(other, 'fast', to('mine'))).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'tiers.0.targets.0.provider', message: 'there is no provider "mine"' }],
    });
    await expect(routing.putRoute(owner, 'fast', to('mine'))).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('other instances', () => {
  it('hear of a change', async () => {
    const [first, second] = [await instance(), await instance()];
    await first.createProvider(acme, given('mine'));
    await first.putRoute(acme, 'fast', to('mine'));
    await expect.poll(() => second.callableRoutes(acme).map((route) => route.name)).toEqual(['fast']);
    expect(keyUsed(second, acme, 'fast')).toBe('sk-test-0123456789abcdef');
    await first.deleteRoute(acme, 'fast');
    await expect.poll(() => second.callableRoutes(acme)).toEqual([]);
  });
});

describe('the database', () => {
  const rows = (who: Principal, table: string) =>
    test.database.inTenant(who, async (tx) => {
      const { rows: found } = await sql<{
        name: string;
      }>`select name from ${sql.table(table)} order by name`.execute(tx);
      return found.map((row) => row.name);
    });

  it('shows a tenant its own and the platform’s rows only, and no sealed key', async () => {
    const routing = await instance();
    await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    await routing.createProvider(other, given('theirs'));
    await routing.putRoute(acme, 'fast', to('mine'));
    expect(await rows(acme, 'providers')).toEqual(['mine', 'shared']);
    expect(await rows(other, 'providers')).toEqual(['shared', 'theirs']);
    expect(await rows(other, 'model_routes')).toEqual([]);
    for (const column of ['sealed_key', 'sealed_keys', '*']) {
      await expect(
        test.database.inTenant(acme, (tx) => sql`select ${sql.raw(column)} from providers`.execute(tx)),
      ).rejects.toThrow('permission denied');
      // Nor by a detour through what it may write.
      if (column === '*') continue;
      await expect(
        test.database.inTenant(acme, (tx) =>
          sql`update providers set base_url = ${sql.raw(column)}::text`.execute(tx),
        ),
      ).rejects.toThrow('permission denied');
    }
  });

  it('lets a tenant write neither the platform’s rows nor another’s', async () => {
    const routing = await instance();
    await routing.createProvider(owner, given('shared'));
    await routing.putRoute(owner, 'fast', to('shared'));
    const changed = await test.database.inTenant(acme, async (tx) => [
      (await sql`update model_routes set name = 'taken'`.execute(tx)).numAffectedRows,
      (await sql`delete from model_routes`.execute(tx)).numAffectedRows,
      (await sql`delete from providers`.execute(tx)).numAffectedRows,
      (await sql`update providers set base_url = 'https://taken.example.com'`.execute(tx)).numAffectedRows,
    ]);
    expect(changed).toEqual([0n, 0n, 0n, 0n]);
    await expect(
      test.database.inTenant(acme, (tx) => sql`update providers set tenant_id = null`.execute(tx)),
    ).rejects.toThrow('permission denied');
    for (const tenantId of [null, tenants.other]) {
      await expect(
        test.database.inTenant(acme, (tx) =>
          sql`insert into model_routes (id, tenant_id, name, tiers, created_by, created_at, updated_at)
            values (${newId()}, ${tenantId}, 'x', '[]', 'x', now(), now())`.execute(tx),
        ),
      ).rejects.toThrow('row-level security');
    }
  });
});
