import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, removeDirectory, startServer } from '../harness/server.ts';
import { startTokenIssuer, type TokenIssuer } from '../harness/token-issuer.ts';
import { type Callers, createCallers, trustIssuer } from './callers.ts';
import { declaredRoutes } from './declared-routes.ts';
import { type Credential, credentials, type Operation, operationsOf, renderMatrix } from './matrix.ts';
import { ask, walk } from './walk.ts';

/** Written anew by `npm run docs:permissions`. */
const page = new URL('../../docs/permissions.md', import.meta.url);

let server: RunningServer;
let issuer: TokenIssuer;
let callers: Callers;
/** Those of the first version and of what has none. */
let operations: Operation[];
/** Those of the second version; most are those of the first under another address. */
let ofSecond: Operation[];
/** What one version has of its own. */
let versioned: Operation[];
const answers = new Map<string, number>();

beforeAll(async () => {
  issuer = await startTokenIssuer();
  server = await startServer({ env: { GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1' } });
  for (const slug of ['acme', 'other']) {
    const made = await server.call('POST', '/api/v1/tenants', { name: slug, slug });
    expect(made.status).toBe(201);
  }
  await trustIssuer(server, issuer);
  callers = createCallers(server, issuer);
  const [first, second] = await Promise.all(
    ['v1', 'v2'].map(async (version) => (await server.call('GET', `/api/${version}/openapi.json`)).json),
  );
  operations = [...operationsOf(first), ...unpublished];
  ofSecond = operationsOf(second).filter(({ path }) => path.startsWith('/api/v2/'));
  const { json } = await server.call('GET', '/api/versions');
  const successors: string[] = json.versions.flatMap(
    (version: { deprecated_routes: { successor: string }[] }) =>
      version.deprecated_routes.map(({ successor }) => successor),
  );
  versioned = ofSecond.filter(({ path }) => successors.includes(path));
});
afterAll(async () => {
  await server.stop();
  await issuer.stop();
  await removeDirectory(server.dataDir);
});

/** Declared, and left out of the published document: what says that something is not offered, and what is for machines. */
const unpublished: readonly Operation[] = [
  ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => ({
    method,
    path: '/v1/messages/{any}',
    permission: 'models:list',
  })),
  ...['GET', 'PUT', 'PATCH', 'DELETE'].map((method) => ({
    method,
    path: '/v1/messages',
    permission: 'models:list',
  })),
  ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'].map((method) => ({
    method,
    path: '/v1/responses/{any}',
    permission: 'models:list',
  })),
  { method: 'GET', path: '/', permission: null },
  { method: 'GET', path: '/metrics', permission: null },
  { method: 'GET', path: '/docs', permission: null },
  { method: 'GET', path: '/api/v1/openapi.json', permission: null },
  { method: 'GET', path: '/api/v2/openapi.json', permission: null },
];

describe('the matrix of permissions', () => {
  for (const credential of Object.keys(credentials) as Credential[]) {
    it(`holds on every route, for every role, in one's own tenant and another's, with ${credentials[credential]}`, async () => {
      expect(versioned.length).toBeGreaterThan(0);
      // The second version's answers are the same routes'; one credential looks at all of them.
      const all = [...operations, ...(credential === 'key' ? ofSecond : versioned)];
      const walked = await walk(server, callers, all, credential);
      expect(walked.wrong).toEqual([]);
      expect(walked.answers.size).toBeGreaterThan(1_000);
      for (const [name, status] of walked.answers) answers.set(name, status);
    });
  }

  it('is the one in the documentation', async () => {
    const rendered = renderMatrix([...operations, ...versioned], answers);
    if (process.env.PERMISSIONS_WRITE) await writeFile(page, rendered);
    expect(await readFile(page, 'utf8')).toBe(rendered);
  });

  it('would not hold for a route that lets in others than it says', async () => {
    const planted = { method: 'GET', path: '/api/v1/keys' };
    for (const permission of ['models:list', 'tenants:manage']) {
      const { wrong } = await walk(server, callers, [{ ...planted, permission }], 'key');
      expect(wrong).not.toEqual([]);
    }
  });

  it('has every route that is declared', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gatehouse-routes-'));
    const declared = await declaredRoutes(directory);
    const known = new Set([...operations, ...ofSecond].map(nameOf));
    const beside = declared.filter((route) => !known.has(nameOf(route)));
    expect(declared.length).toBeGreaterThan(150);
    expect(beside).toEqual([]);
    await rm(directory, { recursive: true, force: true });
  });

  it('is the same for a role of the tenant’s own: its permissions and nothing else', async () => {
    const held = ['documents:read', 'keys:manage', 'costs:read'];
    const inAcme = { 'x-tenant-id': 'acme' };
    const role = await server.call('POST', '/api/v1/roles', { name: 'mixed', permissions: held }, inAcme);
    expect(role.status).toBe(201);
    const key = await server.call('POST', '/api/v1/keys', { name: 'mixed', role: 'mixed' }, inAcme);
    for (const operation of operations) {
      if (operation.permission === null) continue;
      const status = await ask(server.url, operation, { authorization: `Bearer ${key.json.key}` });
      expect({ ...operation, refused: status === 403 }).toEqual({
        ...operation,
        refused: !held.includes(operation.permission),
      });
    }
  });

  it('opens nothing to who shows nothing, or nothing that is valid', async () => {
    const nothing = [
      {},
      { authorization: 'Bearer gh_made_up' },
      { authorization: `Bearer ${issuer.token({ iss: 'https://attacker.example' })}` },
      { 'x-api-key': '' },
      { cookie: `gatehouse=${'A'.repeat(43)}` },
    ];
    for (const operation of [...operations, ...versioned]) {
      if (operation.permission === null) continue;
      const statuses = await Promise.all(nothing.map((headers) => ask(server.url, operation, headers)));
      expect({ ...operation, statuses: [...new Set(statuses)] }).toEqual({ ...operation, statuses: [401] });
    }
  });
});

/** Parameters by any name are the same. */
function nameOf({ method, path }: Pick<Operation, 'method' | 'path'>): string {
  return `${method} ${path.replace(/\{[^}]+\}/g, '{}')}`;
}
