import { sql } from 'kysely';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator } from '../harness/authenticator.ts';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

const origin = 'http://localhost:8080';
let house: House;
const keyOf: Record<string, string> = {};

beforeAll(async () => {
  house = await createHouse({ publicUrl: origin });
});
afterAll(() => house.stop());

/** A tenant of its own, because what is required is a tenant's. */
async function tenant(slug: string): Promise<string> {
  const { adminKey } = await house.tenant(slug);
  keyOf[slug] = adminKey;
  return adminKey;
}
const as = (key: string, method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) =>
  new Browser(house).send(method, url, body, { authorization: `Bearer ${key}` });
const demand = async (key: string, require_mfa: string | null) => {
  const reply = await as(key, 'PUT', 'auth/policy', { require_mfa });
  expect(reply.status).toBe(200);
  return reply.json;
};
async function ownerKey(slug: string): Promise<string> {
  const found = house.access.tenant(slug);
  if (!found) throw new Error('no tenant');
  const plain = { groups: [], scopes: [], userId: null, expiresAt: null };
  return (await house.access.createKeyAsPlatform(found, { ...plain, name: 'owner', role: 'owner' })).key;
}
const signIn = async (email: string, more = {}, browser = new Browser(house)) => ({
  browser,
  ...(await browser.send('POST', 'auth/sign-in', { email, password: goodPassword, ...more })),
});
const codeOf = (secret: string) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: house.now().getTime() });
/** Another step, whose code was not used yet. */
const nextCode = (secret: string) => {
  house.advance(31_000);
  return codeOf(secret);
};
async function enrol(browser: Browser): Promise<string> {
  const begun = await browser.send('POST', 'auth/totp', { password: goodPassword });
  expect(begun.status).toBe(200);
  const confirmed = await browser.send('POST', 'auth/totp/confirm', { otp: codeOf(begun.json.secret) });
  expect(confirmed.status).toBe(200);
  return begun.json.secret;
}
async function addPasskey(browser: Browser): Promise<Authenticator> {
  const device = new Authenticator();
  const begun = await browser.send('POST', 'auth/passkeys/options', { password: goodPassword });
  const { ceremony, options } = begun.json;
  const response = device.register({ challenge: options.challenge, origin });
  const made = await browser.send('POST', 'auth/passkeys', { ceremony, name: 'device', response });
  expect(made.status).toBe(201);
  return device;
}
const mayList = async (browser: Browser) => (await browser.send('GET', 'auth/sessions')).status;
const missing = async (browser: Browser) =>
  (await browser.send('GET', 'auth/account')).json.second_factor.missing;

describe('a second factor that is required', () => {
  it('leaves those without one to set it up and nothing else, whatever their role holds', async () => {
    const key = await tenant('enrolling');
    const { email, browser: before } = await newUser(house, key, { role: 'admin' });
    expect(await mayList(before)).toBe(200);
    await demand(key, 'all');
    // Whoever is signed in already, at once.
    expect(await mayList(before)).toBe(403);
    const { browser, json } = await signIn(email);
    expect(json).toMatchObject({ status: 'signed_in', missing_factor: 'enrol' });

    const allowed = new Set(['account:sign_in', 'account:enrol']);
    const routes = house.http.routes.filter(
      ({ method, url }) => method !== 'HEAD' && url.startsWith('/api/'),
    );
    let refused = 0;
    for (const { method, url, access } of routes) {
      if ('public' in access || allowed.has(access.permission)) continue;
      const reply = await browser.send(
        method as 'GET',
        url.replace(/:\w+/g, 'absent'),
        method === 'GET' ? undefined : {},
      );
      expect([method, url, reply.status, reply.json.code]).toEqual([
        method,
        url,
        403,
        'second_factor_required',
      ]);
      expect(reply.json).toMatchObject({
        missing: 'enrol',
        detail: expect.stringContaining('/api/v1/auth/totp'),
      });
      refused++;
    }
    expect(refused).toBeGreaterThan(20);

    await enrol(browser);
    expect(await missing(browser)).toBeNull();
    expect(await mayList(browser)).toBe(200);
    expect((await browser.send('GET', 'users')).status).toBe(200);
  });

  it('counts at once on every instance, and so does a factor that was set up on another', async () => {
    const key = await tenant('everywhere');
    const { browser } = await newUser(house, key);
    const there = await createHouse({ test: house.test, publicUrl: origin });
    try {
      const elsewhere = new Browser(there);
      const follow = () => {
        for (const [name, value] of browser.cookies) elsewhere.cookies.set(name, value);
      };
      follow();
      expect(await mayList(elsewhere)).toBe(200);
      await demand(key, 'all');
      await expect.poll(() => mayList(elsewhere)).toBe(403);
      await enrol(browser);
      follow();
      expect(await mayList(elsewhere)).toBe(200);
      await demand(key, 'none');
      expect(await mayList(browser)).toBe(200);
    } finally {
      await there.stop();
    }
  });

  it('is asked of those with administrative permissions, where it is said of the privileged', async () => {
    const key = await tenant('privileged');
    const made = await as(key, 'POST', 'roles', {
      name: 'helpdesk',
      permissions: ['users:manage', 'account:manage'],
    });
    expect(made.status).toBe(201);
    // Managing one's account is also finishing its sign-in.
    const helpdesk = await newUser(house, key, { role: 'helpdesk' });
    expect((await helpdesk.browser.send('POST', 'auth/sign-out')).status).toBe(204);
    await demand(key, 'privileged');
    const states = [];
    for (const role of ['viewer', 'analyst', 'helpdesk', 'operator', 'admin']) {
      const { email } = await newUser(house, key, { role });
      states.push([role, (await signIn(email)).json.missing_factor]);
    }
    expect(states).toEqual([
      ['viewer', null],
      ['analyst', null],
      ['helpdesk', 'enrol'],
      ['operator', 'enrol'],
      ['admin', 'enrol'],
    ]);
  });

  it('is said by the platform for tenants that say nothing, and for its owners always', async () => {
    const key = await tenant('quiet');
    const owners = await ownerKey('quiet');
    const analyst = await newUser(house, key);
    const owner = await newUser(house, owners, { role: 'owner' });
    const stateOf = async ({ browser }: { browser: Browser }) => missing(browser);
    const platform = (body: object) => as(owners, 'PUT', 'auth/policy', body);
    try {
      expect((await platform({ require_mfa: 'all' })).json).toMatchObject({
        of: 'platform',
        effective_require_mfa: 'all',
        owners_require_mfa: false,
        mail: { configured: false, detail: expect.stringContaining('GATEHOUSE_SMTP_URL') },
      });
      expect((await as(key, 'GET', 'auth/policy')).json).toMatchObject({
        of: 'tenant',
        require_mfa: null,
        default_require_mfa: 'all',
        effective_require_mfa: 'all',
      });
      expect([await stateOf(analyst), await stateOf(owner)]).toEqual(['enrol', 'enrol']);
      await demand(key, 'none');
      expect([await stateOf(analyst), await stateOf(owner)]).toEqual([null, null]);
      await platform({ require_mfa: 'none', owners_require_mfa: true });
      expect([await stateOf(analyst), await stateOf(owner)]).toEqual([null, 'enrol']);
      // What is not said stays.
      await platform({ require_mfa: 'none' });
      expect(await stateOf(owner)).toBe('enrol');
    } finally {
      await platform({ require_mfa: 'none', owners_require_mfa: false });
    }
    expect(
      (await as(key, 'PUT', 'auth/policy', { require_mfa: 'none', owners_require_mfa: true })).status,
    ).toBe(422);
    expect((await platform({ require_mfa: null })).status).toBe(422);
    expect((await demand(key, null)).require_mfa).toBeNull();
    expect((await analyst.browser.send('PUT', 'auth/policy', { require_mfa: 'none' })).status).toBe(403);
  });

  it('cannot be replaced by another one by whoever has not shown the one there is', async () => {
    const key = await tenant('showing');
    const { email, browser } = await newUser(house, key);
    const device = await addPasskey(browser);
    // Not required yet: a password is enough, and makes a session that showed nothing else.
    const begun = await signIn(email);
    expect(begun.json.missing_factor).toBeNull();
    await demand(key, 'all');
    expect(await missing(begun.browser)).toBe('show');
    for (const [url, body] of [
      ['auth/totp', { password: goodPassword }],
      ['auth/totp/confirm', { otp: '123456' }],
      ['auth/passkeys/options', { password: goodPassword }],
    ] as const) {
      const reply = await begun.browser.send('POST', url, body);
      expect([url, reply.status, reply.json.missing]).toEqual([url, 403, 'show']);
    }
    const secret = begun.browser.cookies.get('gatehouse');
    const ceremony = await begun.browser.send('POST', 'auth/second-factor/passkey/options');
    const { options } = ceremony.json;
    const response = device.signIn({ challenge: options.challenge, origin });
    const answer = { ceremony: ceremony.json.ceremony, response };
    const other = await newUser(house, key);
    expect((await other.browser.send('POST', 'auth/second-factor/passkey', answer)).status).toBe(401);
    const again = await begun.browser.send('POST', 'auth/second-factor/passkey/options');
    const right = device.signIn({ challenge: again.json.options.challenge, origin });
    const shown = await begun.browser.send('POST', 'auth/second-factor/passkey', {
      ceremony: again.json.ceremony,
      response: right,
    });
    expect(shown.status).toBe(204);
    expect(begun.browser.cookies.get('gatehouse')).not.toBe(secret);
    expect(await mayList(begun.browser)).toBe(200);
    // From now on, a password asks for the passkey before there is a session.
    const next = await signIn(email);
    expect(next.json).toMatchObject({ status: 'second_factor_needed', second_factors: ['passkey'] });
  });

  it('shown for one account counts for no other, also when its cookie lies beside', async () => {
    const key = await tenant('beside');
    const mine = await newUser(house, key);
    const secret = await enrol(mine.browser);
    const theirs = await newUser(house, key);
    await demand(key, 'all');
    const token = await new Browser(house).send('POST', 'auth/token', {
      email: mine.email,
      password: goodPassword,
      otp: nextCode(secret),
    });
    expect(token.status).toBe(200);
    const reply = await theirs.browser.send(
      'POST',
      'auth/second-factor',
      { otp: nextCode(secret) },
      { authorization: `Bearer ${token.json.access_token}` },
    );
    expect(reply.status).toBe(409);
    expect(await missing(theirs.browser)).toBe('enrol');
  });

  it('is not made up by sending a code that is none', async () => {
    const key = await tenant('made-up');
    const { email } = await newUser(house, key);
    await demand(key, 'all');
    const { browser, json } = await signIn(email, { otp: '123456' });
    expect(json.missing_factor).toBe('enrol');
    expect(await mayList(browser)).toBe(403);
  });

  it('is needed for tokens, which say what to do, and are not renewed without it', async () => {
    const key = await tenant('tokens');
    const { email, browser } = await newUser(house, key);
    const ask = (more = {}) =>
      new Browser(house).send('POST', 'auth/token', { email, password: goodPassword, ...more });
    const before = await ask();
    expect(before.status).toBe(200);
    await demand(key, 'all');
    const refused = await ask();
    expect([refused.status, refused.json.code]).toEqual([403, 'second_factor_required']);
    expect(refused.json.detail).toMatch(/sign-in.*totp.*otp/s);
    const renewed = await new Browser(house).send('POST', 'auth/token', {
      grant_type: 'refresh_token',
      refresh_token: before.json.refresh_token,
    });
    expect([renewed.status, renewed.json.code]).toEqual([403, 'second_factor_required']);
    // A wrong password learns nothing of it.
    expect((await ask({ password: 'wrong' })).status).toBe(401);
    const secret = await enrol(browser);
    expect((await ask()).json.second_factor).toEqual(['otp', 'recovery_code']);
    expect((await ask({ otp: nextCode(secret) })).status).toBe(200);
  });

  it('cannot be removed when it is the last, unless by an administrator, who is in the audit log', async () => {
    const key = await tenant('last');
    const { browser, id, email } = await newUser(house, key);
    const secret = await enrol(browser);
    await demand(key, 'all');
    const remove = () => browser.send('POST', 'auth/totp/remove', { otp: nextCode(secret) });
    const refused = await remove();
    expect([refused.status, refused.json.code]).toEqual([403, 'second_factor_required']);
    await addPasskey(browser);
    expect((await remove()).status).toBe(204);
    const { passkeys } = (await browser.send('GET', 'auth/passkeys')).json;
    expect((await browser.send('DELETE', `auth/passkeys/${passkeys[0].id}`)).json.code).toBe(
      'second_factor_required',
    );
    expect((await as(key, 'DELETE', `users/${id}/second-factors`)).status).toBe(204);
    expect((await browser.send('GET', 'auth/account')).status).toBe(401);
    const { rows } = await sql<{ action: string }>`select action from audit_entries
      where action = 'passkey.deleted' and target_id = ${passkeys[0].id} and outcome = 'done'`.execute(
      house.test.database.platform,
    );
    expect(rows).toHaveLength(1);
    const anew = await signIn(email);
    expect(anew.json.missing_factor).toBe('enrol');
    await enrol(anew.browser);
    expect(await mayList(anew.browser)).toBe(200);
  });

  it('stays, when all of them are removed at once', async () => {
    const key = await tenant('at-once');
    for (let round = 0; round < 3; round++) {
      const { browser, id } = await newUser(house, key);
      const secret = await enrol(browser);
      await addPasskey(browser);
      await addPasskey(browser);
      await demand(key, 'all');
      const { passkeys } = (await browser.send('GET', 'auth/passkeys')).json;
      const otp = nextCode(secret);
      // Three tabs of one session: whichever is first gives it another secret.
      const tab = () => {
        const made = new Browser(house);
        for (const [name, value] of browser.cookies) made.cookies.set(name, value);
        return made;
      };
      const replies = await Promise.all([
        tab().send('POST', 'auth/totp/remove', { otp }),
        ...passkeys.map(({ id: passkey }: { id: string }) =>
          tab().send('DELETE', `auth/passkeys/${passkey}`),
        ),
      ]);
      expect(replies.filter(({ status }) => status === 204).length).toBeLessThanOrEqual(2);
      const left = await house.people.policy.factorsOf(id);
      expect(Number(left.otp) + left.passkeys).toBeGreaterThanOrEqual(1);
      await demand(key, 'none');
    }
  });
});
