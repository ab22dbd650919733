import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

/*
 * Signing in and calling with tokens, as people's clients and applications do it.
 */

let simulator: Simulator;
let server: RunningServer;
const owner = { email: 'owner@localhost', password: '' };

beforeAll(async () => {
  simulator = createSimulator({ seed: 5 });
  const upstream = await simulator.start();
  server = await startServer({
    env: { OPENAI_API_KEY: 'sk-test-upstream', OPENAI_BASE_URL: `${upstream.url}/v1` },
  });
  owner.password = /password (\S+)/.exec(server.output().stdout)?.[1] ?? '';
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

const post = (path: string, body: string | URLSearchParams, headers: Record<string, string> = {}) =>
  fetch(server.url + path, { method: 'POST', body, headers });
const token = (body: object) => call(server.url, '', 'POST', '/api/v1/auth/token', body);
const chat = (key: string) =>
  call(server.url, key, 'POST', '/v1/chat/completions', {
    model: 'openai/gpt-4o-mini',
    messages: [{ role: 'user', content: 'Hello' }],
  });

describe('somebody who signs in', () => {
  it('gets a token that works wherever a key does, and one that renews it', async () => {
    const signedIn = await token(owner);
    expect(signedIn.status).toBe(200);
    expect(signedIn.headers.get('cache-control')).toBe('no-store');
    expect(signedIn.json).toMatchObject({ token_type: 'Bearer', expires_in: 900 });
    const { access_token: access, refresh_token: refresh } = signedIn.json;
    expect((await chat(access)).status).toBe(200);
    expect((await call(server.url, access, 'GET', '/api/v1/keys')).status).toBe(200);
    const renewed = await token({ grant_type: 'refresh_token', refresh_token: refresh });
    expect(renewed.status).toBe(200);
    expect((await chat(renewed.json.access_token)).status).toBe(200);
    expect((await token({ grant_type: 'refresh_token', refresh_token: refresh })).status).toBe(401);
    expect((await chat(renewed.json.access_token)).status).toBe(401);
  });

  it('signs out by giving back either token', async () => {
    const signedIn = await token({ username: owner.email, ...owner, grant_type: 'password' });
    const { access_token: access, refresh_token: refresh } = signedIn.json;
    expect((await post('/api/v1/auth/revoke', new URLSearchParams({ token: refresh }))).status).toBe(204);
    expect((await chat(access)).status).toBe(401);
    expect((await token({ grant_type: 'refresh_token', refresh_token: refresh })).status).toBe(401);
    expect((await post('/api/v1/auth/revoke', new URLSearchParams({ token: 'gone' }))).status).toBe(204);
  });

  it('is told what is missing', async () => {
    const reply = await token({ grant_type: 'refresh_token' });
    expect(reply.status).toBe(422);
    expect(reply.json.errors).toEqual([{ path: 'refresh_token', message: 'is missing' }]);
  });
});

describe('an application', () => {
  it('exchanges its key for a token as OAuth clients do, by form and by HTTP Basic', async () => {
    const { json: key } = await server.call('POST', '/api/v1/keys', { name: 'application', role: 'analyst' });
    const grant = { grant_type: 'client_credentials' };
    const byForm = await post(
      '/api/v1/auth/token',
      new URLSearchParams({ ...grant, client_id: key.id, client_secret: key.key }),
    );
    expect(byForm.status).toBe(200);
    const basic = Buffer.from(`${key.id}:${key.key}`).toString('base64');
    const byBasic = await post('/api/v1/auth/token', new URLSearchParams(grant), {
      authorization: `Basic ${basic}`,
    });
    expect(byBasic.status).toBe(200);
    const { access_token: access, refresh_token: refresh } = (await byBasic.json()) as Record<string, string>;
    expect(refresh).toBeUndefined();
    expect((await chat(access ?? '')).status).toBe(200);
    expect((await call(server.url, access ?? '', 'GET', '/api/v1/keys')).status).toBe(403);
    const twice = await post('/api/v1/auth/token', 'grant_type=password&grant_type=client_credentials', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(twice.status).toBe(400);
    await server.call('DELETE', `/api/v1/keys/${key.id}`);
    expect((await chat(access ?? '')).status).toBe(401);
  });
});

describe('the public keys', () => {
  it('are there for everyone, to be kept for five minutes, and without their private halves', async () => {
    const reply = await fetch(`${server.url}/.well-known/jwks.json`);
    expect(reply.status).toBe(200);
    expect(reply.headers.get('cache-control')).toBe('public, max-age=300');
    const { keys } = (await reply.json()) as { keys: object[] };
    expect(keys).toEqual([
      {
        kty: 'OKP',
        crv: 'Ed25519',
        alg: 'EdDSA',
        use: 'sig',
        kid: expect.any(String),
        x: expect.any(String),
      },
    ]);
  });

  it('are followed by others when an owner says so', async () => {
    const made = await server.call('POST', '/api/v1/auth/signing-keys/rotate', {});
    expect(made.status).toBe(201);
    const { keys } = (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as {
      keys: object[];
    };
    expect(keys).toHaveLength(2);
    expect(Date.parse(made.json.signs_from)).toBeGreaterThan(Date.now());
  });
});

describe('an administrator', () => {
  it('ends the tokens of all at once, and keys go on', async () => {
    const { access_token: access } = (await token(owner)).json;
    expect((await chat(access)).status).toBe(200);
    expect((await server.call('POST', '/api/v1/auth/revocations', { all: true })).status).toBe(204);
    expect((await chat(access)).status).toBe(401);
    expect((await chat(testAdminKey)).status).toBe(200);
  });
});
