import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { permissions, permissionsOfRole, roles } from '../src/access/index.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/** Open to everyone. A new line here is a decision. */
const publicRoutes = [
  'GET /.well-known/jwks.json',
  'GET /api/v1/openapi.json',
  'GET /api/versions',
  'GET /health/live',
  'GET /health/ready',
  'GET /api/v1/auth/providers/absent/callback',
  'GET /api/v1/auth/providers/absent/start',
  'POST /api/v1/auth/email/verify',
  'POST /api/v1/auth/invitations/accept',
  'POST /api/v1/auth/password/forgotten',
  'POST /api/v1/auth/password/reset',
  'POST /api/v1/auth/revoke',
  'POST /api/v1/auth/sign-in',
  'POST /api/v1/auth/sign-in/passkey',
  'POST /api/v1/auth/sign-in/passkey/options',
  'POST /api/v1/auth/sign-in/second-factor',
  'POST /api/v1/auth/token',
];

/** What is open in the first version is open in those after it. */
const isOpen = (method: string, path: string) =>
  publicRoutes.includes(`${method} ${path.replace(/^\/api\/v\d+\//, '/api/v1/')}`);

let server: RunningServer;
let operations: { method: string; path: string; permission: string | undefined }[];
const keyOf: Record<string, string> = {};

beforeAll(async () => {
  server = await startServer();
  const { json } = await server.call('GET', '/api/v1/openapi.json');
  const { json: second } = await server.call('GET', '/api/v2/openapi.json');
  operations = Object.entries({ ...json.paths, ...second.paths }).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, any>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replace(/\{[^}]+\}/g, 'absent'),
      permission: operation['x-permission'],
    })),
  );
  for (const role of roles) {
    const made = await server.call('POST', '/api/v1/keys', { name: role, role });
    keyOf[role] = made.json.key;
  }
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

describe('every route', () => {
  it('is in the published document with the permission it needs', () => {
    expect(operations.length).toBeGreaterThan(20);
    for (const { method, path, permission } of operations) {
      const open = isOpen(method, path);
      expect({ method, path, known: open || permissions.some((p) => p === permission) }).toMatchObject({
        known: true,
      });
    }
  });

  it('refuses whoever has no key', async () => {
    for (const { method, path } of operations) {
      if (isOpen(method, path)) continue;
      const reply = await fetch(server.url + path, { method });
      expect({ method, path, status: reply.status }).toEqual({ method, path, status: 401 });
    }
  });

  it('lets each built-in role in exactly where its permissions say so', async () => {
    for (const role of roles) {
      for (const { method, path, permission } of operations) {
        if (!permission) continue;
        const reply = await call(server.url, keyOf[role] ?? '', method, path);
        const allowed = permissionsOfRole[role].some((p) => p === permission);
        expect({ role, method, path, refused: reply.status === 403 }).toEqual({
          role,
          method,
          path,
          refused: !allowed,
        });
      }
    }
  });
});
