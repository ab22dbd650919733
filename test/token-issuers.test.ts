import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { type OidcTokens, startOidcTokens } from './harness/oidc-tokens.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';
import {
  claimsNow,
  encoded,
  newIssuerKey,
  signedBy,
  startTokenIssuer,
  type TokenIssuer,
  testAudience,
} from './harness/token-issuer.ts';

/*
 * People and programs of a company's own issuer call with its tokens, and with nothing of ours.
 */

let simulator: Simulator;
let server: RunningServer;
let oidc: OidcTokens;
let wild: TokenIssuer;
const inAcme = { 'x-tenant-id': 'acme' };
const settings = (issuer: string) => ({
  issuer,
  audiences: [testAudience],
  mapping: {
    role: { claim: ['realm', 'roles'], values: [{ value: 'staff', role: 'analyst' }] },
    groups: { claim: 'groups', values: [{ value: 'cn=payroll', group: 'payroll' }] },
  },
});

beforeAll(async () => {
  simulator = createSimulator({ seed: 6 });
  const upstream = await simulator.start();
  server = await startServer({
    env: {
      OPENAI_API_KEY: 'sk-test-upstream',
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1',
    },
  });
  const staff = { realm: { roles: ['staff'] } };
  oidc = await startOidcTokens(testAudience, {
    payroll: { ...staff, groups: ['cn=payroll', 'cn=other'] },
    canteen: staff,
    guest: { realm: { roles: [] } },
  });
  wild = await startTokenIssuer();
  for (const slug of ['acme', 'other']) await server.call('POST', '/api/v1/tenants', { name: slug, slug });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await oidc.stop();
  await wild.stop();
  await removeDirectory(server.dataDir);
});

const asking = (token: string, path: string, method = 'GET', body?: unknown, headers = {}) =>
  call(server.url, token, method, path, body, headers);
const chat = (token: string) =>
  asking(token, '/v1/chat/completions', 'POST', {
    model: 'openai/gpt-4o-mini',
    messages: [{ role: 'user', content: 'Hello' }],
  });

describe('a token of a company’s own issuer', () => {
  it('is nothing here until an administrator says so', async () => {
    const token = await oidc.tokenFor('canteen');
    expect((await chat(token)).status).toBe(401);
    const put = await server.call('PUT', '/api/v1/auth/issuers/company', settings(oidc.url), inAcme);
    expect(put.status).toBe(200);
    expect(put.json).toMatchObject({ name: 'company', issuer: oidc.url, enabled: true });
    expect((await chat(token)).status).toBe(200);
    expect((await asking(token, '/api/v1/documents')).status).toBe(200);
    expect((await asking(token, '/api/v1/keys')).status).toBe(403);
    expect(
      (await asking(token, '/api/v1/documents', 'GET', undefined, { 'x-tenant-id': 'other' })).status,
    ).toBe(403);
    expect((await chat(await oidc.tokenFor('guest'))).status).toBe(401);
  });

  it('stands for a reader: by groups, and by an id that readers of documents can name', async () => {
    const found = await server.call(
      'GET',
      '/api/v1/auth/issuers/company/user?subject=canteen',
      undefined,
      inAcme,
    );
    expect(found.json.reader).toBe(`user:${found.json.user_id}`);
    const add = async (title: string, acl: object) => {
      const body = { title, text: `${title} is written here.`, acl };
      const made = await server.call('POST', '/api/v1/documents?wait=true', body, inAcme);
      expect(made.status).toBeLessThan(300);
      return made.json.id as string;
    };
    const salaries = await add('Salaries', { groups: ['payroll'] });
    const menu = await add('Menu', { users: [found.json.user_id] });
    const [payroll, canteen] = [await oidc.tokenFor('payroll'), await oidc.tokenFor('canteen')];
    const seen = async (token: string, id: string) => (await asking(token, `/api/v1/documents/${id}`)).status;
    expect([await seen(payroll, salaries), await seen(payroll, menu)]).toEqual([200, 404]);
    expect([await seen(canteen, salaries), await seen(canteen, menu)]).toEqual([404, 200]);
  });

  it('is counted and written down by that id', async () => {
    const { json: user } = await server.call(
      'GET',
      '/api/v1/auth/issuers/company/user?subject=payroll',
      undefined,
      inAcme,
    );
    const token = await oidc.tokenFor('payroll');
    expect((await chat(token)).status).toBe(200);
    expect((await asking(token, '/api/v1/keys')).status).toBe(403);
    const limits = await asking(token, '/api/v1/rate-limits');
    expect(limits.status).toBe(200);
    const { json: entries } = await server.call('GET', '/api/v1/audit-logs?limit=50', undefined, inAcme);
    const actors = entries.entries.map(({ entry }: { entry: { actor: object } }) => entry.actor);
    expect(actors).toContainEqual(
      expect.objectContaining({ kind: 'user', id: user.user_id, issuer: oidc.url, subject: 'payroll' }),
    );
    await expect
      .poll(
        async () => {
          const ledger = await server.call('GET', '/api/v1/costs/ledger?limit=10', undefined, inAcme);
          return ledger.json.calls.map((row: { user_id: string | null }) => row.user_id);
        },
        { timeout: 10_000 },
      )
      .toContain(user.user_id);
  });

  it('brings along the attributes that conditions of roles speak of', async () => {
    const condition = { 'metadata.department': { $reader: 'department' } };
    const role = { name: 'clerk', permissions: ['documents:read'], document_condition: condition };
    expect((await server.call('POST', '/api/v1/roles', role, inAcme)).status).toBe(201);
    const mapping = {
      role: { default: 'clerk' },
      attributes: [{ name: 'department', claim: ['hr', 'department'] }],
    };
    const put = await server.call(
      'PUT',
      '/api/v1/auth/issuers/wild',
      { ...settings(wild.url), mapping },
      inAcme,
    );
    expect(put.status).toBe(200);
    const ids: string[] = [];
    for (const department of ['harbour', 'kitchen']) {
      const body = { title: department, text: `Of the ${department}.`, metadata: { department } };
      ids.push((await server.call('POST', '/api/v1/documents?wait=true', body, inAcme)).json.id);
    }
    const seen = async (hr: unknown) => {
      const token = wild.token({ hr });
      return Promise.all(ids.map(async (id) => (await asking(token, `/api/v1/documents/${id}`)).status));
    };
    expect(await seen({ department: 'harbour' })).toEqual([200, 404]);
    expect(await seen({ department: 'kitchen' })).toEqual([404, 200]);
    for (const hr of [
      undefined,
      {},
      { department: ['harbour', 'kitchen'] },
      { department: { $reader: 'x' } },
    ]) {
      expect(await seen(hr)).toEqual([404, 404]);
    }
  });

  it('is refused from the next request on when the issuer is switched off', async () => {
    const token = await oidc.tokenFor('canteen');
    expect((await chat(token)).status).toBe(200);
    await server.call(
      'PUT',
      '/api/v1/auth/issuers/company',
      { ...settings(oidc.url), enabled: false },
      inAcme,
    );
    expect((await chat(token)).status).toBe(401);
    await server.call('PUT', '/api/v1/auth/issuers/company', settings(oidc.url), inAcme);
    expect((await chat(token)).status).toBe(200);
    await server.call('DELETE', '/api/v1/auth/issuers/company', undefined, inAcme);
    expect((await chat(token)).status).toBe(401);
  });
});

describe('whatever is wrong with a token', () => {
  it('is answered 401 with the same words', async () => {
    await server.call('PUT', '/api/v1/auth/issuers/wild', settings(wild.url), inAcme);
    const staff = { realm: { roles: ['staff'] } };
    expect((await chat(wild.token(staff))).status).toBe(200);
    const [key] = wild.keys;
    if (!key) throw new Error('it has no key');
    const claims = { ...claimsNow(wild.url), ...staff };
    const asSecret = `${encoded({ alg: 'HS256', kid: key.kid, typ: 'JWT' })}.${encoded(claims)}`;
    const pem = key.publicKey.export({ format: 'pem', type: 'spki' });
    const elsewhere = await startTokenIssuer();
    await server.call('PUT', '/api/v1/auth/issuers/wild', settings(elsewhere.url), {
      'x-tenant-id': 'other',
    });
    const now = Math.floor(Date.now() / 1000);
    const tokens = [
      `${encoded({ alg: 'none', kid: key.kid })}.${encoded(claims)}.`,
      `${asSecret}.${createHmac('sha256', pem).update(asSecret).digest('base64url')}`,
      signedBy({ ...newIssuerKey('ES256'), kid: key.kid }, claims),
      signedBy(newIssuerKey('RS256'), claims),
      signedBy({ ...newIssuerKey('RS256'), kid: key.kid }, claims, { jku: elsewhere.jwksUri, jwk: key.jwk }),
      signedBy(key, claims, { kid: "x' OR '1'='1" }),
      signedBy(key, claims, { crit: ['exp'] }),
      wild.token({ ...staff, exp: now - 3_600 }),
      wild.token({ ...staff, nbf: now + 3_600 }),
      wild.token({ ...staff, aud: 'another' }),
      // Signed by one whom this tenant trusts, in the name of one whom another tenant trusts.
      wild.token({ ...staff, iss: elsewhere.url }),
      wild.token({ realm: { roles: ['owner'] } }),
    ];
    const bodies = new Set<string>();
    for (const token of tokens) {
      const reply = await chat(token);
      expect(reply.status).toBe(401);
      bodies.add(reply.text.replace(/"(correlation|request)_id":"[^"]*"/g, ''));
    }
    expect([...bodies]).toHaveLength(1);
    // Longer than any header may be.
    expect((await chat(wild.token({ ...staff, padding: 'x'.repeat(13_000) }))).status).toBe(431);
    await elsewhere.stop();
  });
});
