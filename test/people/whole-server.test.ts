import { afterAll, beforeAll, expect, it } from 'vitest';
import { goodPassword } from '../harness/people.ts';
import { call, type RunningServer, removeDirectory, startServer } from '../harness/server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

/** A request of a browser, over a real socket. */
async function browse(
  method: string,
  path: string,
  cookies: readonly string[],
  body?: object,
  csrf?: string,
) {
  const reply = await fetch(server.url + path, {
    method,
    headers: {
      cookie: cookies.join('; '),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(csrf !== undefined && { 'x-csrf-token': csrf }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const set = reply.headers.getSetCookie().map((line) => line.split(';')[0] ?? '');
  return { status: reply.status, set, text: await reply.text() };
}

it('somebody is invited, signs in, works, and is signed out by an administrator, all of which the audit log tells', async () => {
  const inDemo = { 'x-tenant-id': 'demo' };
  const invited = await server.call(
    'POST',
    '/api/v1/users/invitations',
    { email: 'kim@example.org' },
    inDemo,
  );
  expect(invited.status).toBe(201);
  const accept = { token: invited.json.token, password: goodPassword };
  const accepted = await browse('POST', '/api/v1/auth/invitations/accept', [], accept);
  expect(accepted.status).toBe(201);
  const signedIn = await browse('POST', '/api/v1/auth/sign-in', [], {
    email: 'kim@example.org',
    password: goodPassword,
  });
  const { user_id: id, csrf_token: csrf } = JSON.parse(signedIn.text);
  const cookies = signedIn.set;

  // A session works for the model endpoints as well, and writes only with its CSRF token.
  expect((await browse('GET', '/v1/models', cookies)).status).toBe(200);
  const question = { query: 'What is Gatehouse?' };
  expect((await browse('POST', '/api/v1/search', cookies, question)).status).toBe(403);
  expect((await browse('POST', '/api/v1/search', cookies, question, csrf)).status).toBe(200);
  expect((await browse('GET', '/api/v1/users', cookies)).status).toBe(403);

  // Somebody else's guesses.
  const guess = { email: 'kim@example.org', password: 'wrong' };
  expect((await browse('POST', '/api/v1/auth/sign-in', [], guess)).status).toBe(401);
  const token = await server.call('POST', '/api/v1/auth/token', {
    email: 'kim@example.org',
    password: goodPassword,
  });
  expect(token.status).toBe(200);
  const byToken = await call(server.url, token.json.access_token, 'GET', '/api/v1/auth/account');
  expect(byToken.json.user.id).toBe(id);

  const ended = await server.call('DELETE', `/api/v1/users/${id}/sessions`, undefined, inDemo);
  expect(ended.json).toEqual({ ended: 2 });
  expect((await browse('GET', '/v1/models', cookies)).status).toBe(401);

  const log = await server.call('GET', '/api/v1/audit-logs?limit=200', undefined, inDemo);
  for (const action of [
    'invitation.created',
    'invitation.deleted',
    'user.created',
    'session.created',
    'sign_in.done',
    'sign_in.refused',
    'session.changed',
  ]) {
    expect(log.text).toContain(`"${action}"`);
  }
  expect(log.text).not.toContain(invited.json.token);
  expect(log.text).not.toContain('$argon2id');
  expect(server.output().stdout + server.output().stderr).not.toContain(invited.json.token);
});
