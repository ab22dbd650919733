import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Role, roles } from '../../src/access/index.ts';
import { type RunningServer, removeDirectory, startServer } from '../harness/server.ts';
import { expectedOf, type Operation, operationsOf, renderMatrix } from './matrix.ts';

/** Written anew by `npm run docs:permissions`. */
const page = new URL('../../docs/permissions.md', import.meta.url);

/** A way to show who one is. Each gives the headers that stand for a holder of a role in the tenant `acme`. */
interface Credential {
  readonly name: string;
  prepare(role: Role): Promise<Record<string, string>>;
}

let server: RunningServer;
let operations: Operation[];

const makeKey = async (role: Role): Promise<string> => {
  const made = await server.call('POST', '/api/v1/keys', { name: role, role }, { 'x-tenant-id': 'acme' });
  expect(made.status).toBe(201);
  return made.json.key;
};
const credentials: readonly Credential[] = [
  {
    name: 'a key as bearer',
    prepare: async (role) => ({ authorization: `Bearer ${await makeKey(role)}` }),
  },
  {
    name: 'a key in X-Api-Key',
    prepare: async (role) => ({ 'x-api-key': await makeKey(role) }),
  },
];

beforeAll(async () => {
  server = await startServer();
  for (const slug of ['acme', 'other']) {
    const made = await server.call('POST', '/api/v1/tenants', { name: slug, slug });
    expect(made.status).toBe(201);
  }
  operations = operationsOf((await server.call('GET', '/api/v1/openapi.json')).json);
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

describe('the matrix of permissions', () => {
  it('is the one in the documentation', async () => {
    const rendered = renderMatrix(operations);
    if (process.env.PERMISSIONS_WRITE) await writeFile(page, rendered);
    expect(await readFile(page, 'utf8')).toBe(rendered);
  });

  for (const credential of credentials) {
    it(`holds on every route, for every role, in one's own tenant and another's, with ${credential.name}`, async () => {
      let asked = 0;
      const wrong: object[] = [];
      for (const role of roles) {
        const headers = await credential.prepare(role);
        for (const operation of operations) {
          if (operation.permission === null) continue;
          for (const tenant of ['own', 'other'] as const) {
            const { status } = await ask(operation, {
              ...headers,
              ...(tenant === 'other' && { 'x-tenant-id': 'other' }),
            });
            asked++;
            const expected = expectedOf(operation, role, tenant);
            const holds =
              expected === 403 ? status === 403 : status !== 401 && status !== 403 && status < 500;
            if (!holds) wrong.push({ role, tenant, ...operation, expected, status });
          }
        }
      }
      expect(wrong).toEqual([]);
      expect(asked).toBeGreaterThan(500);
    });
  }

  it('is the same for a role of the tenant’s own: its permissions and nothing else', async () => {
    const held = ['documents:read', 'keys:manage', 'costs:read'];
    const made = await server.call(
      'POST',
      '/api/v1/roles',
      { name: 'mixed', permissions: held },
      { 'x-tenant-id': 'acme' },
    );
    expect(made.status).toBe(201);
    const key = await server.call(
      'POST',
      '/api/v1/keys',
      { name: 'mixed', role: 'mixed' },
      { 'x-tenant-id': 'acme' },
    );
    for (const operation of operations) {
      if (operation.permission === null) continue;
      const { status } = await ask(operation, { authorization: `Bearer ${key.json.key}` });
      expect({ ...operation, refused: status === 403 }).toEqual({
        ...operation,
        refused: !held.includes(operation.permission),
      });
    }
  });

  it('opens nothing to who shows nothing, or nothing that is valid', async () => {
    for (const operation of operations) {
      if (operation.permission === null) continue;
      for (const headers of [{}, { authorization: 'Bearer gh_made_up' }, { 'x-api-key': '' }]) {
        const { status } = await ask(operation, headers);
        expect({ ...operation, status }).toEqual({ ...operation, status: 401 });
      }
    }
  });
});

/** With parameters that name nothing, and without a body. */
async function ask(
  { method, path }: Operation,
  headers: Record<string, string>,
): Promise<{ status: number }> {
  const reply = await fetch(server.url + path.replace(/\{[^}]+\}/g, 'absent'), { method, headers });
  await reply.arrayBuffer();
  return { status: reply.status };
}
