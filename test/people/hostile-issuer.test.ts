import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { clientId, clientSecret, closed } from '../harness/issuer.ts';
import { Browser, createHouse, type House } from '../harness/people.ts';

/*
 * ID tokens and metadata as no honest issuer makes them. Each differs in one point from what is accepted.
 */

const publicUrl = 'http://127.0.0.1:4998';
const keyId = 'key-of-a-test';
let house: House;
let adminKey: string;
let server: Server;
let address: string;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let stranger: Awaited<ReturnType<typeof generateKeyPair>>;
/** What the issuer does next. */
let metadata: Record<string, unknown>;
let idToken: (claims: Record<string, unknown>) => Promise<string> | string;
let nonce = '';

const honestly = (claims: Record<string, unknown>) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: keyId }).sign(keys.privateKey);
const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

beforeAll(async () => {
  keys = await generateKeyPair('RS256', { extractable: true });
  stranger = await generateKeyPair('RS256', { extractable: true });
  server = createServer(async (request, response) => {
    const answer = (body: object) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    switch (new URL(request.url ?? '', address).pathname) {
      case '/.well-known/openid-configuration':
        return answer({ ...honestMetadata(), ...metadata });
      case '/keys':
        return answer({
          keys: [{ ...(await exportJWK(keys.publicKey)), kid: keyId, alg: 'RS256', use: 'sig' }],
        });
      case '/token': {
        const now = Math.floor(Date.now() / 1000);
        const claims = {
          iss: address,
          sub: 'somebody',
          aud: clientId,
          iat: now,
          exp: now + 300,
          nonce,
          email: 'somebody@acme.example',
          email_verified: true,
        };
        return answer({
          access_token: 'token-of-a-test',
          token_type: 'Bearer',
          id_token: await idToken(claims),
        });
      }
      default:
        return response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  house = await createHouse({ publicUrl });
  ({ adminKey } = await house.tenant('acme'));
});
afterAll(async () => {
  await house.stop();
  await closed(server);
});
beforeEach(() => {
  metadata = {};
  idToken = honestly;
});

const honestMetadata = () => ({
  issuer: address,
  authorization_endpoint: `${address}/authorize`,
  token_endpoint: `${address}/token`,
  jwks_uri: `${address}/keys`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  code_challenge_methods_supported: ['S256'],
});

let set = 0;
/** Under a name of its own each time, so that nothing is remembered of what the issuer said before. */
async function setUp(): Promise<string> {
  const name = `issuer-${++set}`;
  const settings = {
    kind: 'oidc',
    issuer: address,
    client_id: clientId,
    client_secret: clientSecret,
    domains: ['acme.example'],
    create_users: true,
    default_role: 'analyst',
  };
  const put = await new Browser(house).send('PUT', `auth/providers/${name}`, settings, {
    authorization: `Bearer ${adminKey}`,
  });
  expect(put.status).toBe(200);
  return name;
}

/** @returns the status of the callback, and whether a session came of it. */
async function signIn(change: (answer: URLSearchParams) => void = () => {}): Promise<[number, boolean]> {
  const name = await setUp();
  const browser = new Browser(house);
  const begun = await browser.send('GET', `auth/providers/${name}/start?tenant=acme`);
  expect(begun.status).toBe(302);
  const asked = new URL(String(begun.headers.location)).searchParams;
  nonce = asked.get('nonce') ?? '';
  const answer = new URLSearchParams({ code: 'code-of-a-test', state: asked.get('state') ?? '' });
  change(answer);
  const back = await browser.send('GET', `auth/providers/${name}/callback?${answer}`);
  return [back.status, browser.cookies.has('gatehouse')];
}

it('an ID token as it should be signs its person in, so that what follows is refused for its own reason', async () => {
  expect(await signIn()).toEqual([302, true]);
});

it('an answer that was taken is not taken again, though the issuer would take its code again', async () => {
  const name = await setUp();
  const browser = new Browser(house);
  const begun = await browser.send('GET', `auth/providers/${name}/start?tenant=acme`);
  const asked = new URL(String(begun.headers.location)).searchParams;
  nonce = asked.get('nonce') ?? '';
  const answer = new URLSearchParams({ code: 'code-of-a-test', state: asked.get('state') ?? '' });
  const cookie = browser.cookieHeader();
  const comeBack = () =>
    new Browser(house).send('GET', `auth/providers/${name}/callback?${answer}`, undefined, { cookie });
  expect((await comeBack()).status).toBe(302);
  expect((await comeBack()).status).toBe(401);
});

describe('an ID token is refused that', () => {
  const now = () => Math.floor(Date.now() / 1000);
  const cases: [string, (claims: Record<string, unknown>) => Promise<string> | string][] = [
    ['is for another client', (claims) => honestly({ ...claims, aud: 'another-client' })],
    ['is for nobody', ({ aud: _aud, ...claims }) => honestly(claims)],
    [
      'is for several, and was asked for by another',
      (claims) => honestly({ ...claims, aud: [clientId, 'another-client'], azp: 'another-client' }),
    ],
    ['is from another issuer', (claims) => honestly({ ...claims, iss: 'https://evil.example' })],
    ['is from nearly this issuer', (claims) => honestly({ ...claims, iss: `${address}/` })],
    ['has expired', (claims) => honestly({ ...claims, iat: now() - 900, exp: now() - 600 })],
    ['never expires', ({ exp: _exp, ...claims }) => honestly(claims)],
    ['counts only later', (claims) => honestly({ ...claims, nbf: now() + 600 })],
    ['was made for another sign-in', (claims) => honestly({ ...claims, nonce: 'another-nonce' })],
    ['was made for no sign-in', ({ nonce: _nonce, ...claims }) => honestly(claims)],
    ['is about nobody', ({ sub: _sub, ...claims }) => honestly(claims)],
    [
      'another key signed',
      (claims) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: keyId }).sign(stranger.privateKey),
    ],
    [
      'brings its own key',
      async (claims) =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(stranger.publicKey) })
          .sign(stranger.privateKey),
    ],
    ['nobody signed', (claims) => `${encoded({ alg: 'none' })}.${encoded(claims)}.`],
    [
      'is signed with the client’s secret',
      (claims) => new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(clientSecret)),
    ],
    [
      'was changed after it was signed',
      async (claims) => {
        const [head, , signature] = (await honestly(claims)).split('.');
        return `${head}.${encoded({ ...claims, sub: 'somebody-else' })}.${signature}`;
      },
    ],
  ];
  it.each(cases)('%s', async (_what, make) => {
    idToken = make;
    expect(await signIn()).toEqual([401, false]);
  });

  it('is signed with the client’s secret, where the issuer says that it does so', async () => {
    metadata = { id_token_signing_alg_values_supported: ['HS256', 'none'] };
    for (const make of [
      (claims: Record<string, unknown>) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(clientSecret)),
      (claims: Record<string, unknown>) => `${encoded({ alg: 'none' })}.${encoded(claims)}.`,
    ]) {
      idToken = make;
      expect(await signIn()).toEqual([401, false]);
    }
  });
});

describe('an issuer', () => {
  it('whose metadata is another’s is not asked', async () => {
    for (const other of ['https://accounts.example', `${address}.example`, `${address}/tenant`]) {
      metadata = { issuer: other };
      const name = await setUp();
      const begun = await new Browser(house).send('GET', `auth/providers/${name}/start?tenant=acme`);
      expect([other, begun.status, begun.headers.location]).toEqual([other, 502, undefined]);
    }
  });

  it('that promises to name itself in each answer has to', async () => {
    metadata = { authorization_response_iss_parameter_supported: true };
    expect(await signIn((answer) => answer.set('iss', address))).toEqual([302, true]);
    expect(await signIn()).toEqual([401, false]);
    expect(await signIn((answer) => answer.set('iss', 'https://evil.example'))).toEqual([401, false]);
  });
});
