import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startAccess, type TestAccess, testParties } from '../../../../test/harness/access.ts';
import { createTestDatabase, type TestDatabase } from '../../../../test/harness/database.ts';
import { startTokenIssuer, type TokenIssuer, testAudience } from '../../../../test/harness/token-issuer.ts';
import type { NewKey, Principal, TenantFacts } from '../../index.ts';
import { issuerBody } from './issuers.schema.ts';

let database: TestDatabase;
let access: TestAccess;
/** Another instance on the same database. */
let second: TestAccess;
let issuer: TokenIssuer;
let tenants: Record<'north' | 'south' | 'east', TenantFacts>;

beforeAll(async () => {
  database = await createTestDatabase();
  access = await startAccess(database);
  tenants = {
    north: await access.tenant('north'),
    south: await access.tenant('south'),
    east: await access.tenant('east'),
  };
  second = await startAccess(database);
  issuer = await startTokenIssuer();
});
afterAll(async () => {
  await Promise.all([access.stop(), second.stop()]);
  await issuer.stop();
  await database.drop();
});

const caller = async (tenant: TenantFacts, more: Partial<NewKey> = {}): Promise<Principal> => {
  const key = { name: 'key', role: 'admin', groups: [], scopes: [], userId: null, expiresAt: null, ...more };
  return access.access.authenticate((await access.access.createKeyAsPlatform(tenant, key)).key, undefined);
};
const body = (more: object = {}) =>
  issuerBody.parse({
    issuer: issuer.url,
    audiences: [testAudience],
    mapping: { role: { default: 'analyst' } },
    ...more,
  });
const put = async (tenant: TenantFacts, name: string, more: object = {}, principal?: Principal) =>
  access.tokens.issuers.put(principal ?? (await caller(tenant)), name, body(more));
const remove = async (tenant: TenantFacts, name: string) =>
  access.tokens.issuers.remove(await caller(tenant), name);
const present = async (token: string, tenant?: string, at = access): Promise<Principal> =>
  at.access.authenticate(token, tenant);
/** Another instance hears of it by notification; a busy machine may be late. */
const eventually = (look: () => unknown) => vi.waitFor(look, { timeout: 10_000 });
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error) => error.code,
  );

describe('whoever sets an issuer up', () => {
  it('gives nobody more than they hold, and nobody the role of an owner', async () => {
    const { north } = tenants;
    const owner = await caller(north, { role: 'owner' });
    const asOwner = { mapping: { role: { default: 'owner' } } };
    const listed = { mapping: { role: { claim: 'r', values: [{ value: 'x', role: 'owner' }] } } };
    for (const more of [asOwner, listed]) {
      expect(await code(put(north, 'idp', more))).not.toBe('done');
      const platforms = { mapping: { ...more.mapping, tenant: { default: 'north' } } };
      expect(await code(put(north, 'idp', platforms, owner))).toBe('invalid');
    }
    await access.access.roles.add(await caller(north), {
      name: 'signer',
      description: '',
      permissions: ['sign_in:manage', 'documents:read', 'models:call', 'queries:run'],
    });
    for (const less of [
      await caller(north, { role: 'signer' }),
      await caller(north, { scopes: ['sign_in:manage'] }),
      await caller(north, { ipAllowList: ['10.0.0.0/8'] }),
    ]) {
      expect(await code(put(north, 'idp', {}, less))).toBe('forbidden');
      expect(await code(put(north, 'idp', { mapping: { role: { default: 'admin' } } }, less))).toBe(
        'forbidden',
      );
    }
    expect(await code(put(north, 'idp', { mapping: { role: { default: 'nobodys' } } }))).toBe('invalid');
    expect(await access.tokens.issuers.list(await caller(north))).toEqual([]);
  });

  it.each([
    ['issuer', { issuer: 'https://10.0.0.1/idp' }],
    ['issuer', { issuer: 'http://issuer.example' }],
    ['issuer', { issuer: 'https://user:word@issuer.example' }],
    ['issuer', { issuer: 'https://issuer.example/?tenant=1' }],
    ['issuer', { issuer: 'a name' }],
    ['issuer', { issuer: testParties.issuer }],
    ['jwks_uri', { jwks_uri: 'http://169.254.169.254/latest' }],
    ['jwks_uri', { jwks_uri: 'file:///etc/passwd' }],
    ['jwks_uri', { jwks_uri: 'https://localhost.localdomain/jwks' }],
    ['mapping.tenant', { mapping: { tenant: { default: 'south' }, role: { default: 'viewer' } } }],
  ])('names nothing that it may not: %s in %j', async (path, more) => {
    await expect(put(tenants.north, 'idp', more)).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path }],
    });
  });

  it.each([
    { algorithms: ['HS256'] },
    { algorithms: ['none'] },
    { algorithms: [] },
    { audiences: [] },
    { clock_skew_seconds: 301 },
    { max_age_seconds: 604_801 },
    { issuer: 'https://issuer.example\u0000' },
    { more: true },
  ])('is held to what there is: %j', (more) => {
    expect(issuerBody.safeParse({ ...body(), ...more }).success).toBe(false);
  });

  it('sees and changes only what is their tenant’s', async () => {
    await put(tenants.north, 'idp');
    const south = await caller(tenants.south);
    expect(await access.tokens.issuers.list(south)).toEqual([]);
    expect(await code(access.tokens.issuers.one(south, 'idp'))).toBe('not_found');
    expect(await code(access.tokens.issuers.remove(south, 'idp'))).toBe('not_found');
    const owner = await caller(tenants.north, { role: 'owner' });
    expect(await code(access.tokens.issuers.one(owner, 'idp'))).toBe('not_found');
    expect(
      (await access.tokens.issuers.list(await caller(tenants.north))).map(({ row }) => row.name),
    ).toEqual(['idp']);
    await remove(tenants.north, 'idp');
  });

  it('leaves no token open to two meanings, and has so many at most', async () => {
    const { east } = tenants;
    await put(east, 'idp');
    expect(await code(put(east, 'again', { audiences: ['another', testAudience] }))).toBe('conflict');
    for (let n = 1; n < 20; n++) await put(east, `idp-${n}`, { audiences: [`audience-${n}`] });
    expect(await code(put(east, 'one-more', { audiences: ['yet another'] }))).toBe('conflict');
    await put(east, 'idp-19', { audiences: ['yet another'] });
    for (const { row } of await access.tokens.issuers.list(await caller(east))) await remove(east, row.name);
  });
});

describe('an issuer that two tenants trust', () => {
  it('is each one’s for its own audience', async () => {
    await put(tenants.north, 'idp', { audiences: ['north'] });
    await put(tenants.south, 'idp', { audiences: ['south'], mapping: { role: { default: 'viewer' } } });
    expect(await present(issuer.token({ aud: 'north' }))).toMatchObject({
      tenantId: tenants.north.id,
      role: 'analyst',
    });
    const [here, there] = [
      await present(issuer.token({ aud: 'north' })),
      await present(issuer.token({ aud: 'south' })),
    ];
    expect(there).toMatchObject({ tenantId: tenants.south.id, role: 'viewer' });
    expect(there.userId).not.toBe(here.userId);
    expect(await code(present(issuer.token({ aud: 'north' }), 'south'))).toBe('forbidden');
  });

  it('for the same audience is that of the tenant which the request names, and of none when it names none', async () => {
    await put(tenants.north, 'idp');
    await put(tenants.south, 'idp', { mapping: { role: { default: 'viewer' } } });
    const token = issuer.token();
    for (let turn = 0; turn < 2; turn++) {
      await expect(present(token)).rejects.toMatchObject({
        code: 'unauthenticated',
        message: expect.stringContaining('X-Tenant-Id'),
      });
      expect(await present(token, 'north')).toMatchObject({ tenantId: tenants.north.id, role: 'analyst' });
      expect(await present(token, tenants.south.id)).toMatchObject({
        tenantId: tenants.south.id,
        role: 'viewer',
      });
      expect(await code(present(token, 'east'))).toBe('forbidden');
    }
    // Who has no token of it is not told that there is more than one.
    const [head, claims] = token.split('.');
    await expect(present(`${head}.${claims}.AAAA`)).rejects.toMatchObject({
      message: expect.not.stringContaining('X-Tenant-Id'),
    });
    await remove(tenants.south, 'idp');
    expect(await present(token)).toMatchObject({ tenantId: tenants.north.id });
    await remove(tenants.north, 'idp');
  });

  it('is the platform’s where the platform says whose users are which tenant’s', async () => {
    const owner = await caller(tenants.north, { role: 'owner' });
    const mapping = {
      role: { default: 'viewer' },
      tenant: {
        claim: 'org',
        values: [
          { value: 'o-north', tenant: 'north' },
          { value: 'o-south', tenant: 'south' },
        ],
      },
    };
    await put(tenants.north, 'all', { mapping }, owner);
    expect(await code(put(tenants.east, 'idp'))).toBe('conflict');
    expect(await present(issuer.token({ org: 'o-south' }))).toMatchObject({ tenantId: tenants.south.id });
    expect(await present(issuer.token({ org: 'o-north' }))).toMatchObject({ tenantId: tenants.north.id });
    expect(await code(present(issuer.token({ org: 'o-north' }), 'south'))).toBe('forbidden');
    for (const org of [undefined, 'o-east', tenants.east.id, { id: 'o-north' }]) {
      expect(await code(present(issuer.token({ org })))).toBe('unauthenticated');
    }
    expect(await access.tokens.issuers.userId(owner, 'all', { subject: 'alice', tenant: 'south' })).toBe(
      (await present(issuer.token({ org: 'o-south' }))).userId,
    );
    await access.tokens.issuers.remove(owner, 'all');
  });
});

describe('access by an issuer', () => {
  it('ends at once with its settings, here and on another instance', async () => {
    for (const end of [
      () => put(tenants.north, 'idp', { enabled: false }),
      () => put(tenants.north, 'idp', { audiences: ['another'] }),
      () => put(tenants.north, 'idp', { mapping: { role: { default: null } } }),
      () => put(tenants.north, 'idp', { issuer: 'http://127.0.0.1:1' }),
      () => remove(tenants.north, 'idp'),
    ]) {
      await put(tenants.north, 'idp');
      const token = issuer.token();
      await eventually(() => present(token, undefined, second));
      await present(token);
      await end();
      expect(await code(present(token))).toBe('unauthenticated');
      await eventually(async () =>
        expect(await code(present(token, undefined, second))).toBe('unauthenticated'),
      );
    }
  });

  it('changes with what the settings come to', async () => {
    await put(tenants.north, 'idp', { mapping: { role: { default: 'admin' } } });
    const token = issuer.token();
    expect((await present(token)).role).toBe('admin');
    await put(tenants.north, 'idp', { mapping: { role: { default: 'viewer' } } });
    expect((await present(token)).role).toBe('viewer');
  });

  it('ends with the tenant, suspended or deleted, here and on another instance', async () => {
    const made = await access.tenant('doomed');
    await put(made, 'idp', { audiences: ['doomed'] });
    const token = issuer.token({ aud: 'doomed' });
    await eventually(() => present(token, undefined, second));
    await present(token);
    await access.access.changeTenant('doomed', { status: 'suspended' });
    expect(await code(present(token))).toBe('tenant_suspended');
    await eventually(async () =>
      expect(await code(present(token, undefined, second))).toBe('tenant_suspended'),
    );
    await sql`delete from tenants where id = ${made.id}`.execute(database.database.platform);
    for (const at of [access, second]) {
      await eventually(async () => expect(await code(present(token, undefined, at))).toBe('unauthenticated'));
    }
  });

  it('is shown with what is known of the keys', async () => {
    await put(tenants.north, 'idp');
    await present(issuer.token());
    const keysOf = async (name: string) =>
      (await access.tokens.issuers.one(await caller(tenants.north), name)).keys;
    expect(await keysOf('idp')).toMatchObject({ keys: 1, problem: null, readAt: expect.any(Date) });
    await put(tenants.north, 'down', { issuer: 'http://127.0.0.1:1' });
    expect(await code(present(issuer.token({ iss: 'http://127.0.0.1:1' })))).toBe('unauthenticated');
    expect(await keysOf('down')).toMatchObject({
      keys: 0,
      problem: 'the issuer cannot be reached, answers too slowly, or says too much',
    });
    await put(tenants.north, 'down', { issuer: 'http://127.0.0.1:1', enabled: false });
    expect(await keysOf('down')).toBeNull();
  });

  it('ends for all of the tenant, for one user or one token, when an administrator says so', async () => {
    await put(tenants.north, 'idp');
    const admin = await caller(tenants.north);
    const past = Math.floor(Date.now() / 1000) - 5;
    const [alice, bob, named] = [
      issuer.token({ sub: 'alice', iat: past }),
      issuer.token({ sub: 'bob', iat: past }),
      issuer.token({ sub: 'carol', iat: past, jti: 'id of a token' }),
    ];
    const { userId } = await present(alice);
    for (const token of [bob, named]) await present(token);
    await access.tokens.revokeUser(admin, userId ?? '');
    expect(await code(present(alice))).toBe('unauthenticated');
    await access.tokens.revokeToken(admin, 'id of a token');
    expect(await code(present(named))).toBe('unauthenticated');
    expect(await code(present(bob))).toBe('done');
    await access.tokens.revokeTenant(admin);
    expect(await code(present(bob))).toBe('unauthenticated');
    const { rows } = await sql<{
      hours: number;
    }>`select extract(epoch from min(expires_at) - now()) / 3600 as hours
      from token_revocations`.execute(database.database.platform);
    // As long as such a token may live, which none of ours does.
    expect(Number(rows[0]?.hours)).toBeGreaterThan(7 * 24);
  });
});

it('what is done to issuers stands in the audit log, under the tenant or the platform', async () => {
  const { rows } = await sql<{
    action: string;
    own: boolean;
  }>`select distinct action, tenant_id = ${tenants.north.id} as own
    from audit_entries where target_type = 'token_issuer'`.execute(database.database.platform);
  const told = rows.map(({ action, own }) => `${action} ${own}`);
  expect(told).toEqual(
    expect.arrayContaining([
      'token_issuer.created true',
      'token_issuer.changed true',
      'token_issuer.deleted true',
      'token_issuer.created false',
    ]),
  );
});
