import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { createLog } from '../../src/platform/log.ts';
import { createSecretReferences } from '../../src/platform/secret-references/index.ts';
import { clientId, clientSecret, closed, type Issuer, startIssuer } from '../harness/issuer.ts';
import { Browser, createHouse, type House, newUser } from '../harness/people.ts';

const publicUrl = 'http://127.0.0.1:4999';
let house: House;
let issuer: Issuer;
let adminKey: string;
let otherKey: string;
let platformKey: string;

const settings = () => ({
  kind: 'oidc',
  issuer: issuer.url,
  client_id: clientId,
  client_secret: clientSecret,
  domains: ['acme.example'],
  create_users: true,
  default_role: 'analyst',
  groups_claim: 'groups',
  group_map: { 'cn=payroll': 'payroll' },
});
const put = (key: string, name: string, body: object) =>
  new Browser(house).send('PUT', `auth/providers/${name}`, body, { authorization: `Bearer ${key}` });

beforeAll(async () => {
  const references = createSecretReferences({
    variables: new Map([['GATEHOUSE_SECRET_OIDC', clientSecret]]),
    directories: [],
    vault: null,
    clock: systemClock,
    log: createLog('silent'),
  });
  house = await createHouse({ publicUrl, extras: { references } });
  issuer = await startIssuer(
    ['acme', 'globex', 'platform'].map((name) => `${publicUrl}/api/v1/auth/providers/${name}/callback`),
  );
  ({ adminKey } = await house.tenant('acme'));
  ({ adminKey: otherKey } = await house.tenant('globex'));
  const tenant = house.access.tenant('acme');
  if (!tenant) throw new Error('no tenant');
  const plain = { groups: [], scopes: [], userId: null, expiresAt: null };
  platformKey = (await house.access.createKeyAsPlatform(tenant, { ...plain, name: 'owner', role: 'owner' }))
    .key;
  expect((await put(adminKey, 'acme', settings())).status).toBe(200);
});
afterAll(async () => {
  await house.stop();
  await issuer.stop();
});

const begin = async (browser: Browser, name = 'acme', more = '') => {
  const reply = await browser.send('GET', `auth/providers/${name}/start?tenant=${name}${more}`);
  expect(reply.status).toBe(302);
  return String(reply.headers.location);
};
const comeBack = (browser: Browser, url: URL) => browser.send('GET', `${url.pathname}${url.search}`);
const signIn = async (browser: Browser, subject: string, name = 'acme', more = '') =>
  comeBack(browser, await issuer.visit(await begin(browser, name, more), subject));
const account = async (browser: Browser) => (await browser.send('GET', 'auth/account')).json;

describe('signing in at an issuer', () => {
  it('makes a user of whoever it vouches for, with mapped groups, and knows them again by their subject', async () => {
    issuer.people.set('s1', {
      email: 'Ada@acme.example',
      email_verified: true,
      name: 'Ada',
      groups: ['cn=payroll', 'cn=other'],
    });
    const browser = new Browser(house);
    const back = await signIn(browser, 's1', 'acme', '&return_to=/console/costs');
    expect([back.status, back.headers.location]).toEqual([302, '/console/costs']);
    const { user } = await account(browser);
    expect(user).toMatchObject({ name: 'Ada', role: 'analyst', groups: ['payroll'], has_password: false });
    issuer.people.set('s1', { email: 'renamed@elsewhere.example', email_verified: false, groups: [] });
    const again = new Browser(house);
    expect((await signIn(again, 's1')).status).toBe(302);
    expect((await account(again)).user).toMatchObject({ id: user.id, groups: [] });
  });

  it('links somebody who is here already by a verified address of its domains only', async () => {
    const { id } = await newUser(house, adminKey, { email: 'linked@acme.example' });
    issuer.people.set('s2', { email: 'linked@acme.example', email_verified: true });
    const browser = new Browser(house);
    expect((await signIn(browser, 's2')).status).toBe(302);
    expect((await account(browser)).user.id).toBe(id);
    await newUser(house, adminKey, { email: 'victim@acme.example' });
    await newUser(house, adminKey, { email: 'victim@other.example' });
    issuer.people.set('s3', { email: 'victim@acme.example', email_verified: false });
    issuer.people.set('s4', { email: 'victim@other.example', email_verified: true });
    issuer.people.set('s5', {});
    for (const subject of ['s3', 's4', 's5']) {
      const attacker = new Browser(house);
      expect([subject, (await signIn(attacker, subject)).status]).toEqual([subject, 403]);
      expect(attacker.cookies.has('gatehouse')).toBe(false);
    }
  });

  it('of one tenant speaks neither for users of another nor for owners', async () => {
    await put(otherKey, 'globex', settings());
    await newUser(house, adminKey, { email: 'only@acme.example' });
    issuer.people.set('s6', { email: 'only@acme.example', email_verified: true });
    expect((await signIn(new Browser(house), 's6', 'globex')).status).toBe(403);
    await newUser(house, platformKey, { email: 'boss@acme.example', role: 'owner' });
    issuer.people.set('s7', { email: 'boss@acme.example', email_verified: true });
    expect((await signIn(new Browser(house), 's7')).status).toBe(403);
    // The platform's own may.
    await put(platformKey, 'platform', { ...settings(), create_users: false });
    const boss = new Browser(house);
    expect((await signIn(boss, 's7', 'platform')).status).toBe(302);
    expect((await account(boss)).user.role).toBe('owner');
  });

  it('lets nobody in whose account is closed, or who is nobody where nobody is made a user', async () => {
    const { id } = await newUser(house, adminKey, { email: 'closed@acme.example' });
    await new Browser(house).send(
      'PATCH',
      `users/${id}`,
      { disabled: true },
      { authorization: `Bearer ${adminKey}` },
    );
    issuer.people.set('s8', { email: 'closed@acme.example', email_verified: true });
    expect((await signIn(new Browser(house), 's8')).status).toBe(403);
    issuer.people.set('s9', { email: 'unknown@acme.example', email_verified: true });
    expect((await signIn(new Browser(house), 's9', 'platform')).status).toBe(403);
  });
});

describe('attacks on signing in at an issuer', () => {
  beforeAll(() => {
    issuer.people.set('victim', { email: 'v@acme.example', email_verified: true });
    issuer.people.set('attacker', { email: 'a@acme.example', email_verified: true });
  });

  it('a state is used once, also when it failed', async () => {
    const browser = new Browser(house);
    const url = await issuer.visit(await begin(browser), 'victim');
    const cookie = browser.cookieHeader();
    expect((await comeBack(browser, url)).status).toBe(302);
    const replay = await new Browser(house).send('GET', `${url.pathname}${url.search}`, undefined, {
      cookie,
    });
    expect(replay.status).toBe(401);
  });

  it('a sign-in that one browser began is not ended by another (login CSRF)', async () => {
    const url = await issuer.visit(await begin(new Browser(house)), 'attacker');
    const victim = new Browser(house);
    expect((await comeBack(victim, url)).status).toBe(401);
    await begin(victim);
    expect((await comeBack(victim, url)).status).toBe(401);
    expect(victim.cookies.has('gatehouse')).toBe(false);
  });

  it('a code of another sign-in is refused (code injection)', async () => {
    const theirs = await issuer.visit(await begin(new Browser(house)), 'victim');
    const attacker = new Browser(house);
    const mine = await issuer.visit(await begin(attacker), 'attacker');
    mine.searchParams.set('code', theirs.searchParams.get('code') ?? '');
    expect((await comeBack(attacker, mine)).status).toBe(401);
    expect(attacker.cookies.has('gatehouse')).toBe(false);
  });

  it('an ID token with another nonce is refused', async () => {
    const browser = new Browser(house);
    const start = new URL(await begin(browser));
    start.searchParams.set('nonce', 'another-nonce');
    expect((await comeBack(browser, await issuer.visit(start.href, 'victim'))).status).toBe(401);
  });

  it('an answer that claims to be of another issuer is refused (mix-up)', async () => {
    const browser = new Browser(house);
    const url = await issuer.visit(await begin(browser), 'victim');
    expect(url.searchParams.get('iss')).toBe(issuer.url);
    url.searchParams.set('iss', 'https://evil.example');
    expect((await comeBack(browser, url)).status).toBe(401);
  });

  it('an answer to one name is not taken by another, nor after ten minutes, nor with two states', async () => {
    const browser = new Browser(house);
    const url = await issuer.visit(await begin(browser), 'victim');
    const other = new URL(url.href.replace('/acme/', '/globex/'));
    expect((await comeBack(browser, other)).status).toBe(401);
    const second = new Browser(house);
    const twice = await issuer.visit(await begin(second), 'victim');
    twice.searchParams.append('state', 'x');
    expect((await comeBack(second, twice)).status).toBe(401);
    const late = new Browser(house);
    const lateUrl = await issuer.visit(await begin(late), 'victim');
    house.advance(600_001);
    expect((await comeBack(late, lateUrl)).status).toBe(401);
  });

  it('leads nowhere but to paths of this server (open redirect)', async () => {
    for (const target of ['https://evil.example', '//evil.example', '/\\evil.example', '/..//evil.example']) {
      const back = await signIn(
        new Browser(house),
        'victim',
        'acme',
        `&return_to=${encodeURIComponent(target)}`,
      );
      const location = new URL(String(back.headers.location), publicUrl);
      expect([target, back.status, location.origin]).toEqual([target, 302, publicUrl]);
    }
  });

  it('sends the browser back to the configured address, whatever the request says', async () => {
    const reply = await new Browser(house).send('GET', 'auth/providers/acme/start?tenant=acme', undefined, {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
    });
    const url = new URL(String(reply.headers.location));
    expect(url.searchParams.get('redirect_uri')).toBe(`${publicUrl}/api/v1/auth/providers/acme/callback`);
    expect(url.searchParams.get('code_challenge_method')).toBe('S256');
  });
});

describe('settings of issuers', () => {
  it('hide the secret, belong to their tenant, and give nobody more than their maker has', async () => {
    const list = await new Browser(house).send('GET', 'auth/providers', undefined, {
      authorization: `Bearer ${adminKey}`,
    });
    expect(JSON.stringify(list.json)).not.toContain(clientSecret);
    expect(list.json.providers.map((row: any) => [row.name, row.has_client_secret])).toEqual([
      ['acme', true],
    ]);
    expect((await put(adminKey, 'x', { ...settings(), default_role: 'owner' })).status).toBe(422);
    expect((await put(adminKey, 'x', { ...settings(), default_tenant: 'globex' })).status).toBe(422);
    expect((await put(platformKey, 'x', settings())).status).toBe(422);
  });

  it('may refer to a secret that is kept elsewhere: the server’s for owners only', async () => {
    const reference = { ...settings(), client_secret: 'env:GATEHOUSE_SECRET_OIDC' };
    const refused = await put(adminKey, 'x', reference);
    expect([refused.status, refused.json.errors?.[0]?.path]).toEqual([422, 'client_secret']);
    const made = await put(platformKey, 'platform', { ...reference, default_tenant: 'acme' });
    expect(made.json).toMatchObject({
      has_client_secret: true,
      client_secret_reference: 'env:GATEHOUSE_SECRET_OIDC',
    });
    issuer.people.set('by-reference', { email: 'by-reference@acme.example', email_verified: true });
    const browser = new Browser(house);
    expect((await signIn(browser, 'by-reference', 'platform')).status).toBe(302);
    expect((await account(browser)).user.email).toBe('by-reference@acme.example');
    const { client_secret: _secret, ...without } = settings();
    const kept = await put(platformKey, 'platform', { ...without, default_tenant: 'acme' });
    expect(kept.json.client_secret_reference).toBe('env:GATEHOUSE_SECRET_OIDC');
  });

  it('take no address inside, and no issuer that lets everybody in', async () => {
    for (const [kind, address] of [
      ['oidc', 'http://169.254.169.254/latest'],
      ['oidc', 'https://10.0.0.1'],
      ['oidc', 'https://user:pass@idp.example'],
      ['microsoft', 'https://login.microsoftonline.com/common/v2.0'],
      ['microsoft', undefined],
    ]) {
      const reply = await put(adminKey, 'x', { ...settings(), kind, issuer: address });
      expect([address, reply.status, reply.json.errors?.[0]?.path]).toEqual([address, 422, 'issuer']);
    }
  });

  it('forget the secret and who is who when the issuer becomes another', async () => {
    await put(adminKey, 'moving', settings());
    const { client_secret: _secret, ...without } = settings();
    expect((await put(adminKey, 'moving', without)).json.has_client_secret).toBe(true);
    const moved = await put(adminKey, 'moving', { ...without, issuer: 'https://idp.example' });
    expect(moved.json.has_client_secret).toBe(false);
  });
});

describe('GitHub', () => {
  let server: Server;
  let address: string;
  const codes = new Map<string, { challenge: string; redirectUri: string }>();
  let emails: object[] = [];

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const url = new URL(request.url ?? '', address);
      const answer = (body: object) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (url.pathname === '/login/oauth/access_token') {
        let text = '';
        for await (const part of request) text += part;
        const form = new URLSearchParams(text);
        const known = codes.get(form.get('code') ?? '');
        codes.delete(form.get('code') ?? '');
        const challenge = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        const right =
          known?.challenge === challenge &&
          known.redirectUri === form.get('redirect_uri') &&
          form.get('client_secret') === clientSecret;
        return answer(right ? { access_token: 'token-of-a-test' } : { error: 'bad_verification_code' });
      }
      if (request.headers.authorization !== 'Bearer token-of-a-test') return response.writeHead(401).end();
      if (url.pathname === '/api/v3/user') return answer({ id: 4711, login: 'grace', name: null });
      return answer(emails);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { groups_claim: _claim, ...plain } = settings();
    expect((await put(adminKey, 'hub', { ...plain, kind: 'github', issuer: address })).status).toBe(200);
  });
  afterAll(() => closed(server));

  const approve = (start: string): URL => {
    const url = new URL(start);
    expect(url.pathname).toBe('/login/oauth/authorize');
    const code = createHash('sha256').update(start).digest('hex');
    const redirectUri = url.searchParams.get('redirect_uri') ?? '';
    codes.set(code, { challenge: url.searchParams.get('code_challenge') ?? '', redirectUri });
    const back = new URL(redirectUri);
    back.search = new URLSearchParams({ code, state: url.searchParams.get('state') ?? '' }).toString();
    return back;
  };
  const start = async (browser: Browser) =>
    String((await browser.send('GET', 'auth/providers/hub/start?tenant=acme')).headers.location);

  it('says who somebody is by its API, and only a verified primary address counts', async () => {
    emails = [{ email: 'grace@acme.example', primary: true, verified: false }];
    const unverified = new Browser(house);
    expect((await comeBack(unverified, approve(await start(unverified)))).status).toBe(403);
    emails = [
      { email: 'other@acme.example', primary: false, verified: true },
      { email: 'grace@acme.example', primary: true, verified: true },
    ];
    const browser = new Browser(house);
    expect((await comeBack(browser, approve(await start(browser)))).status).toBe(302);
    expect((await account(browser)).user.email).toBe('grace@acme.example');
  });

  it('refuses a code of another sign-in', async () => {
    const theirs = approve(await start(new Browser(house)));
    const attacker = new Browser(house);
    const mine = approve(await start(attacker));
    mine.searchParams.set('code', theirs.searchParams.get('code') ?? '');
    expect((await comeBack(attacker, mine)).status).toBe(401);
  });
});

describe('a second factor that was shown at an issuer', () => {
  const missing = async (browser: Browser) => (await account(browser)).second_factor.missing;
  const signedInWith = async (subject: string, more: object) => {
    const email = `${subject}@acme.example`;
    issuer.people.set(subject, { email, email_verified: true, ...more });
    const browser = new Browser(house);
    expect((await signIn(browser, subject)).status).toBe(302);
    return browser;
  };
  const demand = (require_mfa: string) =>
    new Browser(house).send('PUT', 'auth/policy', { require_mfa }, { authorization: `Bearer ${adminKey}` });

  it('counts only where the issuer’s settings say so, and only as they say', async () => {
    expect((await demand('all')).status).toBe(200);
    try {
      const two = { amr: ['pwd', 'otp', 'mfa'], acr: 'urn:example:gold' };
      expect(await missing(await signedInWith('m1', two))).toBe('enrol');
      await put(adminKey, 'acme', { ...settings(), trust_mfa: true });
      expect(await missing(await signedInWith('m1', two))).toBeNull();
      expect(await missing(await signedInWith('m1', { amr: ['pwd', 'otp'] }))).toBe('enrol');
      expect(await missing(await signedInWith('m1', { amr: 'mfa' }))).toBe('enrol');
      await put(adminKey, 'acme', { ...settings(), mfa_acr_values: ['urn:example:gold'] });
      expect(await missing(await signedInWith('m1', { acr: 'urn:example:gold' }))).toBeNull();
      expect(await missing(await signedInWith('m1', { acr: 'urn:example:silver', amr: ['mfa'] }))).toBe(
        'enrol',
      );
      const url = new URL(await begin(new Browser(house)));
      expect(url.searchParams.get('acr_values')).toBe('urn:example:gold');
    } finally {
      await put(adminKey, 'acme', settings());
      await demand('none');
    }
  });

  it('is asked for here where it does not count, of those who have one', async () => {
    const browser = await signedInWith('m2', {});
    const begun = await browser.send('POST', 'auth/totp', {});
    const codeNow = () =>
      new TOTP({ secret: Secret.fromBase32(begun.json.secret) }).generate({
        timestamp: house.now().getTime(),
      });
    expect((await browser.send('POST', 'auth/totp/confirm', { otp: codeNow() })).status).toBe(200);
    expect((await demand('all')).status).toBe(200);
    try {
      const next = await signedInWith('m2', { amr: ['mfa'] });
      expect(await missing(next)).toBe('show');
      expect((await next.send('POST', 'auth/totp', {})).json.code).toBe('second_factor_required');
      expect((await next.send('POST', 'auth/second-factor', { otp: '000000' })).status).toBe(401);
      house.advance(31_000);
      const secret = next.cookies.get('gatehouse');
      expect((await next.send('POST', 'auth/second-factor', { otp: codeNow() })).status).toBe(204);
      expect(next.cookies.get('gatehouse')).not.toBe(secret);
      expect(await missing(next)).toBeNull();
      expect((await next.send('GET', 'auth/sessions')).status).toBe(200);
    } finally {
      await demand('none');
    }
  });
});
