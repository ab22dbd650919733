import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { startIssuer } from '../harness/issuer.ts';
import { call, type RunningServer, removeDirectory, startServer, testAdminKey } from '../harness/server.ts';
import { type Operation, operationsOf } from '../permissions/matrix.ts';
import { type Asking, deeds, deedsElsewhere, everydayReadings, otherWays, type Stage } from './deeds.ts';

/*
 * Every operation of the published documents: what it does is in the audit log, under the request that did it, and while
 * the log cannot be written it is not done.
 */

/** Where browsers reach the server: passkeys and issuers are bound to it. */
let origin: string;
let test: TestDatabase;
let server: RunningServer;
let stage: Stage;
let operations: Operation[];

beforeAll(async () => {
  test = await createTestDatabase();
  const port = await freePort();
  origin = `http://localhost:${port}`;
  const issuer = await startIssuer([`${origin}/api/v1/auth/providers/acme/callback`]);
  server = await startServer({
    env: {
      DATABASE_URL: test.url,
      DATABASE_POOL_MIN: '2',
      DATABASE_POOL_MAX: '10',
      GATEHOUSE_PUBLIC_URL: origin,
      PORT: String(port),
      GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1',
    },
  });
  await server.call('POST', '/api/v1/tenants', { name: 'Acme', slug: 'acme' });
  const asAcme = { 'x-tenant-id': 'acme' };
  const admin = await server.call('POST', '/api/v1/keys', { name: 'admin', role: 'admin' }, asAcme);
  const providerUrl = 'http://127.0.0.1:9/v1';
  const sim = { name: 'sim', kind: 'openai', base_url: providerUrl };
  expect((await server.call('POST', '/api/v1/providers', sim)).status).toBe(201);
  stage = { server, issuer, origin, adminKey: admin.json.key, providerUrl };
  const documents = await Promise.all(
    ['v1', 'v2'].map(async (version) => (await server.call('GET', `/api/${version}/openapi.json`)).json),
  );
  const known = new Map(documents.flatMap(operationsOf).map((one) => [`${one.method} ${one.path}`, one]));
  operations = [...known.values()];
});
afterAll(async () => {
  await server.stop();
  await stage.issuer.stop();
  await test.drop();
  await removeDirectory(server.dataDir);
});

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

const nameOf = ({ method, path }: Operation) => `${method} ${path}`;
/** What is the same in a later version is told there as in the first. */
const inFirstVersion = (operation: string) => operation.replace(/ \/api\/v\d+\//, ' /api/v1/');
const isReading = ({ method }: Operation) => method === 'GET';
const isEveryday = ({ path }: Operation) => everydayReadings.some(([pattern]) => pattern.test(path));

let asked = 0;
/** @returns the answer, and the correlation id that the request had. */
async function ask(operation: Pick<Operation, 'method' | 'path'>, asking: Asking) {
  const id = `every-route-${++asked}`;
  const names = [...(asking.names ?? [])];
  const path =
    operation.path.replace(/\{[^}]+\}/g, () => encodeURIComponent(names.shift() ?? 'absent')) +
    (asking.query ?? '');
  const headers = { 'x-correlation-id': id, ...asking.headers };
  const reply =
    asking.by === undefined
      ? await server.call(operation.method, path, asking.body, { 'x-tenant-id': 'acme', ...headers })
      : await asking.by.send(operation.method, path, asking.body, headers);
  return { ...reply, id };
}

async function toldOf(correlationId: string): Promise<string[]> {
  const { rows } = await sql<{ action: string }>`
    select action from audit_entries where correlation_id = ${correlationId}`.execute(test.database.platform);
  return rows.map(({ action }) => action);
}

/** The log takes nothing, as on a full disk, while `work` is done. */
async function withoutLog<T>(work: () => Promise<T>): Promise<T> {
  const { platform } = test.database;
  await sql`alter table audit_entries add constraint full_disk check (false) not valid`.execute(platform);
  try {
    return await work();
  } finally {
    await sql`alter table audit_entries drop constraint full_disk`.execute(platform);
  }
}

/** Columns whose change is nobody's deed, as the triggers have it. */
const unworthy = [
  'updated_at',
  'failed_sign_ins',
  'locked_until',
  'last_used_at',
  'last_seen_at',
  'last_step',
  'counter',
  'wrapped_at',
  'status',
  'reason',
  'detail',
  'warnings',
  'attempts',
  'searchable_version',
  'content_type',
  'text_length',
  'chunk_count',
  'revision',
];

/** All that the log watches, as one hash for each table. */
async function watched(): Promise<Record<string, string>> {
  const { platform } = test.database;
  const { rows: tables } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_trigger t on t.tgrelid = c.oid where t.tgname = 'audited'
    order by 1`.execute(platform);
  const state: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await sql<{ hash: string }>`
      select md5(coalesce(string_agg(row, ',' order by row), '')) as hash
      from (select (to_jsonb(t) - ${unworthy}::text[])::text as row from ${sql.table(name)} t) all_of_it`.execute(
      platform,
    );
    state[name] = rows[0]?.hash ?? '';
  }
  expect(tables.length).toBeGreaterThan(25);
  return state;
}

describe('every operation', () => {
  it('is a deed, a reading that is noted, or says why it is neither', () => {
    const known = { ...deeds, ...deedsElsewhere };
    const unknown = operations
      .filter((operation) => !isReading(operation) && !(inFirstVersion(nameOf(operation)) in known))
      .map(nameOf);
    expect(unknown).toEqual([]);
    const names = operations.map(nameOf);
    expect(Object.keys(known).filter((one) => !names.includes(one))).toEqual([]);
    for (const [pattern] of everydayReadings) {
      expect([pattern, operations.some((one) => isReading(one) && pattern.test(one.path))]).toEqual([
        pattern,
        true,
      ]);
    }
  });
});

describe('a deed', () => {
  it.each([...Object.entries(deeds), ...otherWays])(
    '%s is in the log, and is not done without it',
    async (name, deed) => {
      const [method = '', path = ''] = name.split(' ');
      const first = await deed.prepare(stage);
      const before = await watched();
      const refused = await withoutLog(() => ask({ method, path }, first));
      expect([refused.status, refused.text]).toEqual([
        expect.toSatisfy((status: number) => status >= 500),
        refused.text,
      ]);
      expect(await watched()).toEqual(before);
      const done = await ask({ method, path }, await deed.prepare(stage));
      expect([done.status < 400 || done.status === 404, done.text]).toEqual([true, done.text]);
      expect(await toldOf(done.id)).toContain(deed.action);
    },
  );
});

/** What readings do not go without, by the end of their path. */
const neededQuery: Readonly<Record<string, string>> = { breakdown: '?by=model', user: '?subject=somebody' };

describe('a reading', () => {
  it('of what not everybody may know is noted, or not given', async () => {
    const readings = operations.filter(
      (one) =>
        isReading(one) &&
        !isEveryday(one) &&
        one.permission !== null &&
        !(inFirstVersion(nameOf(one)) in deeds),
    );
    const names = readings.map(nameOf);
    for (const one of [
      'GET /api/v1/audit-logs',
      'GET /api/v1/keys',
      'GET /api/v1/users',
      'GET /api/v1/costs/ledger',
      'GET /api/v2/costs/ledger',
      'GET /api/v1/auth/providers',
      'GET /api/v1/audit-logs/forwarding',
      'GET /api/v1/keyring',
      'GET /api/v1/tenants',
      'GET /api/v1/roles',
      'GET /api/v1/notifications/channels',
    ])
      expect(names).toContain(one);
    const wrong: object[] = [];
    for (const operation of readings) {
      const asking = {
        names: ['019f0c0e-7a50-7e1c-9d0e-2f6f6a1b8a11'],
        query: neededQuery[operation.path.replace(/^.*\//, '')] ?? '',
      };
      const refused = await withoutLog(() => ask(operation, asking));
      const given = await ask(operation, asking);
      const told = await toldOf(given.id);
      if (refused.status < 500 || !told.includes('data.read')) {
        wrong.push({ operation: nameOf(operation), refused: refused.status, given: given.status, told });
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('a refusal', () => {
  it('of a credential is told, whatever it was', async () => {
    for (const headers of [
      { authorization: 'Bearer gh_made_up' },
      { 'x-api-key': 'gh_made_up' },
      { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' },
      { cookie: 'gatehouse=made-up' },
    ]) {
      const id = `stranger-${++asked}-of-every-route`;
      const reply = await fetch(`${server.url}/api/v1/keys`, {
        headers: { ...headers, 'x-correlation-id': id },
      });
      expect(reply.status).toBe(401);
      await until(async () => (await toldOf(id)).includes('request.refused'));
    }
    expect((await call(server.url, testAdminKey, 'GET', '/health/live')).status).toBe(200);
  });

  it('is told of every operation, one by one or counted', async () => {
    const nothing = await server.call(
      'POST',
      '/api/v1/keys',
      { name: 'nothing', role: 'viewer', scopes: ['health:read'] },
      { 'x-tenant-id': 'acme' },
    );
    const guarded = operations.filter(
      ({ permission }) => permission !== null && permission !== 'health:read',
    );
    let refusals = 0;
    const refuse = async ({ method, path }: Pick<Operation, 'method' | 'path'>) => {
      const reply = await call(server.url, nothing.json.key, method, path.replace(/\{[^}]+\}/g, 'absent'));
      expect([method, path, reply.status]).toEqual([method, path, 403]);
      refusals++;
    };
    for (const operation of guarded) await refuse(operation);
    expect(refusals).toBeGreaterThan(100);
    await until(async () => {
      await refuse({ method: 'GET', path: '/api/v1/keys' });
      const { rows } = await sql<{ told: number; untold: number }>`
        select count(*)::int as told, coalesce(sum((entry::jsonb #>> '{after,untold}')::int), 0)::int as untold
        from audit_entries where action = 'request.refused' and actor = ${`key:${nothing.json.id}`}`.execute(
        test.database.platform,
      );
      return rows[0] !== undefined && rows[0].told + rows[0].untold >= refusals && rows[0].told >= 50;
    });
  });
});
