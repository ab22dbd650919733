import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startAccessInstance } from '../../test/harness/access-instance.ts';
import { gatehouse as run } from '../../test/harness/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { openEntrance } from '../../test/harness/open-doors.ts';
import { type Access, accessRoutes, tenantFacts } from '../access/index.ts';
import { createHttp, type HttpServer } from '../http/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';

const log = createLog('silent');
let test: TestDatabase;
let access: Access;
let http: HttpServer;
let stopAccess: () => Promise<void>;
let url: string;
let ownerKey: string;

beforeAll(async () => {
  test = await createTestDatabase();
  const newId = createIds(systemClock, systemRandom);
  const here = await startAccessInstance(test);
  access = here.access;
  stopAccess = here.stop;
  http = await createHttp({
    limits: openEntrance(),
    access,
    clock: systemClock,
    newId,
    log,
    metrics: createMetrics(),
    version: '0.0.0',
    platformRoutes: [accessRoutes(access, 'eu')],
    modelRoutes: [],
    rootRoutes: [],
  });
  url = `http://127.0.0.1:${await http.listen('127.0.0.1', 0)}`;
  const tenant = await access.createTenant({ name: 'Acme', slug: 'acme', tier: 'starter', region: 'eu' });
  await access.createTenant({ name: 'Later', slug: 'later', tier: 'starter', region: 'eu' });
  const { key } = await access.createKeyAsPlatform(tenantFacts(tenant), {
    name: 'first',
    role: 'owner',
    groups: [],
    scopes: [],
    userId: null,
    expiresAt: null,
  });
  ownerKey = key;
});
afterAll(async () => {
  await http.stop(1_000);
  await stopAccess();
  await test.drop();
});

const gatehouse = (args: readonly string[], environment: Record<string, string> = {}) =>
  run(args, { GATEHOUSE_URL: url, GATEHOUSE_API_KEY: ownerKey, ...environment });

describe('keys over HTTP', () => {
  it('are made, listed and revoked', async () => {
    const made = await gatehouse([
      'keys',
      'create',
      '--name',
      'ci',
      '--role',
      'analyst',
      '--groups',
      'a, b',
      '--scopes',
      'models:call',
      '--expires',
      '30d',
      '--json',
    ]);
    expect(made.exitCode).toBe(0);
    const key = JSON.parse(made.stdout);
    expect(key).toMatchObject({ name: 'ci', role: 'analyst', groups: ['a', 'b'], scopes: ['models:call'] });
    expect(new Date(key.expires_at).getTime()).toBeGreaterThan(Date.now());
    expect((await access.authenticate(key.key, undefined)).role).toBe('analyst');

    const listed = await gatehouse(['keys', 'list']);
    expect(listed.stdout).toMatch(
      new RegExp(`${key.id} +ci +analyst +a,b +models:call +until \\d{4}-\\d\\d-\\d\\d +`),
    );
    expect(listed.stdout).not.toContain(key.key);

    expect((await gatehouse(['keys', 'revoke', key.id])).stdout).toBe(`Key ${key.id} is revoked.\n`);
    expect((await gatehouse(['keys', 'list'])).stdout).toMatch(new RegExp(`${key.id} .* revoked `));
  });

  it('are all listed, over as many pages as it takes', async () => {
    for (let i = 0; i < 205; i++) {
      const tenant = access.tenant('later');
      if (!tenant) throw new Error('no tenant');
      await access.createKeyAsPlatform(tenant, {
        name: `k${i}`,
        role: 'viewer',
        groups: [],
        scopes: [],
        userId: null,
        expiresAt: null,
      });
    }
    const { stdout } = await gatehouse(['keys', 'list', '--tenant', 'later', '--json']);
    const names = JSON.parse(stdout).keys.map((key: { name: string }) => key.name);
    expect(new Set(names).size).toBe(205);
  });

  it('that do not exist are said not to, with the correlation id', async () => {
    const { exitCode, stderr } = await gatehouse(['keys', 'revoke', 'nothing']);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/There is no such key.*\(404, correlation id [\w-]+\)/);
  });

  it('are named by what is given, never another address of the server', async () => {
    for (const id of ['../tenants/later', '..%2ftenants%2flater', '../keys?limit=1', 'x#']) {
      const { exitCode, stderr } = await gatehouse(['keys', 'revoke', id]);
      expect([id, exitCode, stderr]).toEqual([id, 1, expect.stringContaining('There is no such key')]);
    }
  });

  it('cannot be made with a wrong key', async () => {
    const { exitCode, stdout } = await gatehouse([
      'keys',
      'create',
      '--name',
      'x',
      '--key',
      'gh_wrong',
      '--json',
    ]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ status: 401, code: 'unauthenticated' });
  });

  it('are not revoked by the whole key, which would end up in logs', async () => {
    const { exitCode, stderr } = await gatehouse(['keys', 'revoke', ownerKey]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('by its id');
    expect(stderr).not.toContain(ownerKey);
  });
});

describe('a key made offline', () => {
  it('is of the oldest tenant, and works at once on an instance that runs on the same database', async () => {
    const { exitCode, stdout } = await gatehouse(
      ['keys', 'create', '--role', 'owner', '--offline', '--json'],
      {
        DATABASE_URL: test.url,
        GATEHOUSE_API_KEY: '',
      },
    );
    expect(exitCode).toBe(0);
    const made = JSON.parse(stdout);
    expect(made).toMatchObject({ tenant: 'acme', role: 'owner' });
    const listed = await gatehouse(['keys', 'list', '--json'], { GATEHOUSE_API_KEY: made.key });
    expect(JSON.parse(listed.stdout).keys.map((key: { id: string }) => key.id)).toContain(made.id);
  });

  it('is of the tenant that is named', async () => {
    const inNamed = (tenant: string) =>
      gatehouse(['keys', 'create', '--role', 'admin', '--tenant', tenant, '--offline', '--json'], {
        DATABASE_URL: test.url,
      });
    expect(JSON.parse((await inNamed('later')).stdout)).toMatchObject({ tenant: 'later', role: 'admin' });
    expect((await inNamed('nobody')).stdout).toContain('There is: acme, later.');
  });

  it('needs a role, and scopes that exist', async () => {
    const refusal = async (...more: string[]) => {
      const { exitCode, stderr } = await gatehouse(['keys', 'create', '--offline', ...more], {
        DATABASE_URL: test.url,
      });
      expect(exitCode).toBe(2);
      return stderr;
    };
    expect(await refusal()).toContain('needs a role');
    expect(await refusal('--role', 'king')).toContain('needs a role');
    expect(await refusal('--role', 'admin', '--scopes', 'models:dance')).toContain(
      '"models:dance" is not a scope',
    );
  });

  it('needs a database that holds a Gatehouse', async () => {
    const { exitCode, stderr } = await gatehouse(['keys', 'create', '--role', 'owner', '--offline'], {
      DATABASE_URL: test.url.replace(/test_[0-9a-f]+/, 'postgres'),
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('holds no Gatehouse yet');
  });
});

describe('on a data directory', () => {
  let dataDir: string;
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  it('the embedded server is started for it and stopped again', async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-offline-'));
    const attempt = () =>
      gatehouse(['keys', 'create', '--role', 'owner', '--offline'], { GATEHOUSE_DATA_DIR: dataDir });
    // The second could not start if the first had left anything running.
    for (const { exitCode, stderr } of [await attempt(), await attempt()]) {
      expect(exitCode).toBe(1);
      expect(stderr).toContain('There is no tenant yet');
    }
  });
});
