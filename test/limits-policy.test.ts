import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/* Who sets limits, by API and by file, and what is refused: as owners and tenants' admins meet it. */
let server: RunningServer;
let folder: string;
const keys: Record<string, string> = {};

const as = (who: string, method: string, path: string, body?: unknown) =>
  call(server.url, keys[who] ?? '', method, `/api/v1${path}`, body);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-limits-'));
  const file = join(folder, 'gatehouse.yaml');
  await writeFile(
    file,
    'limits: { unauthenticated_per_minute: 100000, tiers: { starter: { requests_per_minute: 900, concurrent: unlimited } } }',
  );
  server = await startServer({ env: { GATEHOUSE_CONFIG: file } });
  for (const slug of ['north', 'south']) {
    await server.call('POST', '/api/v1/tenants', { name: slug, slug, tier: 'starter', region: 'eu' });
    const made = await server.call(
      'POST',
      '/api/v1/keys',
      { name: slug, role: 'admin' },
      { 'x-tenant-id': slug },
    );
    keys[slug] = made.json.key;
  }
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
  await rm(folder, { recursive: true, force: true });
});

describe('a tenant’s limits', () => {
  it('are the file’s where it says something, and the table’s where not', async () => {
    const { status, json } = await as('north', 'GET', '/tenants/north');
    expect(status).toBe(200);
    expect(json).toMatchObject({ slug: 'north', own_limits: {}, limits_expire_at: null });
    expect(json.limits).toEqual({
      queries_per_second: 10,
      burst: 20,
      queries_per_day: 100_000,
      requests_per_minute: 900,
      requests_per_day: 20_000,
      tokens_per_day: 500_000,
      concurrent: 'unlimited',
    });
  });

  it('are raised by owners only, count at once, and are seen by the tenant itself', async () => {
    const limits = { requests_per_minute: 5_000, tokens_per_day: 'unlimited' };
    expect((await as('north', 'PATCH', '/tenants/north', { limits })).status).toBe(403);
    const ends = new Date(Date.now() + 3_600_000).toISOString();
    const changed = await server.call('PATCH', '/api/v1/tenants/north', { limits, limits_expire_at: ends });
    expect(changed.json).toMatchObject({ own_limits: limits, limits_expire_at: ends });
    const seen = await as('north', 'GET', '/tenants/north');
    expect(seen.json.limits).toMatchObject(limits);
    expect(seen.headers.get('ratelimit-policy')).toContain('"key-requests-per-minute";q=5000;w=60');
    const back = await server.call('PATCH', '/api/v1/tenants/north', {
      limits: { requests_per_minute: null },
    });
    expect(back.json.limits.requests_per_minute).toBe(900);
    expect(back.json.own_limits).toEqual({ tokens_per_day: 'unlimited' });
  });

  it('are nobody else’s business', async () => {
    expect((await as('north', 'GET', '/tenants/south')).status).toBe(404);
    expect((await as('north', 'GET', '/tenants/nowhere')).status).toBe(404);
    expect((await server.call('GET', '/api/v1/tenants/south')).json.slug).toBe('south');
  });

  it.each([
    [{ limits: { queries_per_second: -1 } }, 'limits.queries_per_second'],
    [{ limits: { queries_per_second: 0 } }, 'limits.queries_per_second'],
    [{ limits: { queries_per_second: 0.0001 } }, 'limits.queries_per_second'],
    [{ limits: { queries_per_second: 1e300 } }, 'limits.queries_per_second'],
    [{ limits: { burst: 'unlimited' } }, 'limits.burst'],
    [{ limits: { requests_per_minute: 0 } }, 'limits.requests_per_minute'],
    [{ limits: { tokens_per_day: 1.5 } }, 'limits.tokens_per_day'],
    [{ limits: { tokens_per_day: 1e12 } }, 'limits.tokens_per_day'],
    [{ limits: { tokens_per_day: '100' } }, 'limits.tokens_per_day'],
    [{ limits: { concurrent: 'none' } }, 'limits.concurrent'],
    [{ limits: { tokens_per_hour: 5 } }, 'limits'],
    [{ limits_expire_at: '2020-01-01T00:00:00Z' }, 'limits_expire_at'],
    [{ limits_expire_at: 'tomorrow' }, 'limits_expire_at'],
    [{ time_zone: 'Mars/Olympus' }, 'time_zone'],
    [{ time_zone: '+02:00' }, 'time_zone'],
    [{ time_zone: 'IST' }, 'time_zone'],
    [{ time_zone: 'US/Pacific-New' }, 'time_zone'],
    [{ tier: 'gold' }, 'tier'],
    [{ slug: 'elsewhere' }, 'body'],
  ])('cannot be %j, and then nothing is saved', async (wrong, path) => {
    const before = (await as('south', 'GET', '/tenants/south')).json;
    const body = { name: 'Changed', ...wrong };
    const refused = await server.call('PATCH', '/api/v1/tenants/south', body);
    expect(refused.status).toBe(422);
    expect(refused.json.errors.map((e: any) => e.path)).toContain(path);
    expect((await as('south', 'GET', '/tenants/south')).json).toEqual(before);
  });

  it('a number that JSON does not have is a malformed body', async () => {
    const refused = await server.call('PATCH', '/api/v1/tenants/south', '{"limits":{"concurrent":NaN}}', {
      'content-type': 'application/json',
    });
    expect(refused.status).toBe(400);
  });

  it('go with a name, a tier, a time zone and a state, in one change', async () => {
    const made = { name: 'Southern', tier: 'professional', time_zone: 'Europe/Berlin', status: 'suspended' };
    const changed = await server.call('PATCH', '/api/v1/tenants/south', made);
    expect(changed.json).toMatchObject(made);
    expect(changed.json.limits.concurrent).toBe(20);
    expect((await as('south', 'GET', '/tenants/south')).json.code).toBe('tenant_suspended');
    await server.call('PATCH', '/api/v1/tenants/south', { status: 'active' });
    expect((await as('south', 'GET', '/tenants/south')).json.time_zone).toBe('Europe/Berlin');
  });
});

describe('tiers', () => {
  it('are everybody’s to see and the owner’s to change, over the file', async () => {
    expect((await as('north', 'PATCH', '/limits/tiers/starter', { burst: 9 })).status).toBe(403);
    const body = { requests_per_minute: 800, burst: 9 };
    const changed = await server.call('PATCH', '/api/v1/limits/tiers/starter', body);
    expect(changed.json).toMatchObject({ tier: 'starter', limits: { ...body, concurrent: 'unlimited' } });
    expect(changed.json.set_by_owner.toSorted()).toEqual(['burst', 'requests_per_minute']);
    const { json } = await as('north', 'GET', '/limits/tiers');
    expect(json.tiers.map(({ tier }: any) => tier)).toEqual([
      'free',
      'starter',
      'professional',
      'enterprise',
    ]);
    expect((await as('north', 'GET', '/tenants/north')).json.limits).toMatchObject(body);
    const back = await server.call('PATCH', '/api/v1/limits/tiers/starter', {
      requests_per_minute: null,
      burst: null,
    });
    expect(back.json.limits).toMatchObject({ requests_per_minute: 900, burst: 20 });
    expect((await server.call('PATCH', '/api/v1/limits/tiers/gold', {})).status).toBe(422);
  });
});

describe('rules', () => {
  it('are the tenant’s own, and refuse by name', async () => {
    const made = await as('north', 'POST', '/limits/rules', {
      scope: 'key',
      subject: '*',
      limits: { requests_per_minute: 5 },
    });
    expect(made.status).toBe(201);
    let refused = await as('north', 'GET', '/limits/rules');
    for (let i = 0; refused.status === 200 && i < 20; i++)
      refused = await as('north', 'GET', '/limits/rules');
    expect(refused.json).toMatchObject({
      status: 429,
      limit: 'requests_per_minute',
      scope: 'key',
      limit_value: 5,
    });
    const path = `/limits/rules/${made.json.id}`;
    expect((await as('south', 'DELETE', path)).status).toBe(404);
    expect((await as('south', 'PATCH', path, { limits: { concurrent: 1 } })).status).toBe(404);
    expect((await as('south', 'GET', '/limits/rules')).json.rules).toEqual([]);
    const inNorth = { 'x-tenant-id': 'north' };
    const listed = await server.call('GET', '/api/v1/limits/rules', undefined, inNorth);
    expect(listed.json.rules).toEqual([made.json]);
    const patched = await server.call(
      'PATCH',
      `/api/v1${path}`,
      { limits: { concurrent: 2, requests_per_minute: null } },
      inNorth,
    );
    expect(patched.json.limits).toEqual({ concurrent: 2 });
    expect((await as('north', 'DELETE', path)).status).toBe(204);
    expect((await as('north', 'DELETE', path)).status).toBe(404);
  });

  it.each([
    [{ scope: 'planet', subject: '*', limits: { concurrent: 1 } }, 'scope'],
    [{ scope: 'key', subject: '', limits: { concurrent: 1 } }, 'subject'],
    [{ scope: 'ip', subject: 'localhost', limits: { concurrent: 1 } }, 'subject'],
    [{ scope: 'key', subject: '*', limits: {} }, 'limits'],
    [{ scope: 'key', subject: '*', limits: { burst: 3 } }, 'limits.burst'],
    [{ scope: 'ip', subject: '*', limits: { tokens_per_day: 3 } }, 'limits.tokens_per_day'],
    [{ scope: 'key', subject: '*', limits: { concurrent: 'unlimited' } }, 'limits.concurrent'],
    [{ scope: 'key', subject: '*', limits: { queries_per_second: 0 } }, 'limits.queries_per_second'],
    [{ scope: 'key', subject: '*', limits: { queries_per_day: 5 } }, 'limits'],
    [
      { scope: 'key', subject: '*', limits: { concurrent: 1 }, expires_at: '2020-01-01T00:00:00Z' },
      'expires_at',
    ],
  ])('cannot be %j', async (body, path) => {
    const refused = await as('south', 'POST', '/limits/rules', body);
    expect(refused.status).toBe(422);
    expect(refused.json.errors.map((e: any) => e.path)).toContain(path);
    expect((await as('south', 'GET', '/limits/rules')).json.rules).toEqual([]);
  });
});

describe('internal keys', () => {
  it('are made by owners only, meet no limit of requests, and show for what they are', async () => {
    expect((await as('south', 'POST', '/keys', { name: 'x', internal: true })).status).toBe(403);
    const made = await server.call('POST', '/api/v1/keys', { name: 'job', role: 'viewer', internal: true });
    expect(made.json).toMatchObject({ name: 'job', internal: true });
    const reply = await call(server.url, made.json.key, 'GET', '/api/v1/limits/tiers');
    expect([reply.status, reply.headers.get('ratelimit')]).toEqual([200, null]);
    const listed = await server.call('GET', '/api/v1/keys');
    expect(listed.json.keys.filter((key: any) => key.internal)).toHaveLength(1);
  });
});
