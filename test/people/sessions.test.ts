import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

let house: House;
let there: House;
let adminKey: string;

beforeAll(async () => {
  house = await createHouse();
  ({ adminKey } = await house.tenant('acme'));
  there = await createHouse({ test: house.test });
});
afterAll(async () => {
  await there.stop();
  await house.stop();
});

const hour = 3_600_000;
const account = async (browser: Browser) => (await browser.send('GET', 'auth/account')).status;
const signIn = async (email: string, browser = new Browser(house, '192.0.2.9')) => {
  const reply = await browser.send('POST', 'auth/sign-in', { email, password: goodPassword });
  expect(reply.status).toBe(200);
  return browser;
};
/** The same cookies at another instance. */
const elsewhere = (browser: Browser): Browser => {
  const other = new Browser(there);
  for (const [name, value] of browser.cookies) other.cookies.set(name, value);
  return other;
};

describe('a session', () => {
  it('gets a secret that nobody could choose: a planted cookie opens nothing and is replaced', async () => {
    const { email } = await newUser(house, adminKey);
    const planted = 'A'.repeat(43);
    const browser = new Browser(house, '192.0.2.9');
    browser.cookies.set('gatehouse', planted);
    expect(await account(browser)).toBe(401);
    await signIn(email, browser);
    expect(browser.cookies.get('gatehouse')).not.toBe(planted);
    const attacker = new Browser(house);
    attacker.cookies.set('gatehouse', planted);
    expect(await account(attacker)).toBe(401);
  });

  it('ends when its browser signs in again, as the same person or as another', async () => {
    const { email, browser } = await newUser(house, adminKey);
    const other = await newUser(house, adminKey);
    for (const next of [email, other.email]) {
      const before = elsewhere(browser);
      const thief = new Browser(house);
      for (const [name, value] of browser.cookies) thief.cookies.set(name, value);
      expect([await account(before), await account(thief)]).toEqual([200, 200]);
      await signIn(next, browser);
      expect(await account(browser)).toBe(200);
      expect(await account(thief)).toBe(401);
      await expect.poll(() => account(before)).toBe(401);
    }
    // What its owner has on other devices goes on.
    expect(await account(other.browser)).toBe(200);
  });

  it('is not read from a request that carries two of its cookies', async () => {
    const { browser } = await newUser(house, adminKey);
    const reply = await new Browser(house).send('GET', 'auth/account', undefined, {
      cookie: `gatehouse=${'A'.repeat(43)}; ${browser.cookieHeader()}`,
    });
    expect(reply.status).toBe(401);
  });

  it('ends after an hour in which nobody used it, and after a day whoever did', async () => {
    const { browser, email } = await newUser(house, adminKey);
    house.advance(hour - 60_000);
    expect(await account(browser)).toBe(200);
    house.advance(hour - 60_000);
    expect(await account(browser)).toBe(200);
    house.advance(hour + 1);
    expect(await account(browser)).toBe(401);
    const used = await signIn(email);
    for (let passed = 0; passed + hour / 2 < 24 * hour; passed += hour / 2) {
      expect(await account(used)).toBe(200);
      house.advance(hour / 2);
    }
    house.advance(hour / 2);
    expect(await account(used)).toBe(401);
  });

  it('is listed with its device, and ended one by one or all but this one, also on another instance', async () => {
    const { browser, email } = await newUser(house, adminKey);
    const phone = new Browser(house, '192.0.2.77');
    await phone.send('POST', 'auth/sign-in', { email, password: goodPassword }, { 'user-agent': 'Phone/1' });
    const laptop = await signIn(email);
    expect(await account(elsewhere(phone))).toBe(200);
    const { json } = await browser.send('GET', 'auth/sessions');
    expect(json.sessions).toHaveLength(3);
    const listed = json.sessions.find((session: any) => session.user_agent === 'Phone/1');
    expect(listed).toMatchObject({ address: '192.0.2.77', current: false, signed_in_by: 'password' });
    expect(json.sessions.filter((session: any) => session.current)).toHaveLength(1);
    expect((await browser.send('DELETE', `auth/sessions/${listed.id}`)).status).toBe(204);
    expect(await account(phone)).toBe(401);
    await expect.poll(() => account(elsewhere(phone))).toBe(401);
    expect((await browser.send('DELETE', 'auth/sessions')).json).toEqual({ ended: 1 });
    expect(await account(laptop)).toBe(401);
    expect(await account(browser)).toBe(200);
  });

  it('of somebody else cannot be seen or ended', async () => {
    const mine = await newUser(house, adminKey);
    const theirs = await newUser(house, adminKey);
    const { json } = await theirs.browser.send('GET', 'auth/sessions');
    expect((await mine.browser.send('DELETE', `auth/sessions/${json.sessions[0].id}`)).status).toBe(404);
    expect(await account(theirs.browser)).toBe(200);
  });

  it('ends on every instance when its user is closed, deleted or given another role', async () => {
    const admin = { authorization: `Bearer ${adminKey}` };
    const act = new Browser(house);
    for (const change of [{ disabled: true }, { role: 'operator' }, null]) {
      const { browser, id } = await newUser(house, adminKey);
      const other = elsewhere(browser);
      expect([await account(browser), await account(other)]).toEqual([200, 200]);
      const reply = change
        ? await act.send('PATCH', `users/${id}`, change, admin)
        : await act.send('DELETE', `users/${id}`, undefined, admin);
      expect(reply.status).toBeLessThan(300);
      expect(await account(browser)).toBe(401);
      await expect.poll(() => account(other)).toBe(401);
    }
  });

  it('has the groups of its user as they are now, because it ends with those before', async () => {
    const { browser, id, email } = await newUser(house, adminKey);
    await new Browser(house).send(
      'PATCH',
      `users/${id}`,
      { groups: ['payroll'] },
      { authorization: `Bearer ${adminKey}` },
    );
    expect(await account(browser)).toBe(401);
    await signIn(email, browser);
    expect((await browser.send('GET', 'auth/account')).json.user.groups).toEqual(['payroll']);
  });

  it('is one of at most twenty', async () => {
    const { browser, email } = await newUser(house, adminKey);
    for (let i = 0; i < 20; i++) await signIn(email);
    expect(await account(browser)).toBe(401);
  });
});

describe('a request of a session that changes something', () => {
  it('is refused without the CSRF token of that very session', async () => {
    const { browser } = await newUser(house, adminKey);
    const other = await newUser(house, adminKey);
    const send = (token: Record<string, string>) =>
      new Browser(house).send('DELETE', 'auth/sessions', undefined, {
        cookie: browser.cookieHeader(),
        ...token,
      });
    const foreign = other.browser.cookies.get('gatehouse-csrf') ?? '';
    expect((await send({})).status).toBe(403);
    expect((await send({ 'x-csrf-token': '' })).status).toBe(403);
    expect((await send({ 'x-csrf-token': foreign })).status).toBe(403);
    // A neighbouring domain can plant a cookie of its own beside: it is the session that the token must fit.
    const planted = await new Browser(house).send('DELETE', 'auth/sessions', undefined, {
      cookie: `gatehouse=${browser.cookies.get('gatehouse')}; gatehouse-csrf=${foreign}`,
      'x-csrf-token': foreign,
    });
    expect(planted.status).toBe(403);
    expect((await send({ 'x-csrf-token': browser.cookies.get('gatehouse-csrf') ?? '' })).status).toBe(200);
  });

  it('cannot sign a browser in from another site', async () => {
    const { email } = await newUser(house, adminKey);
    const reply = await new Browser(house).send(
      'POST',
      'auth/sign-in',
      { email, password: goodPassword },
      { 'sec-fetch-site': 'cross-site' },
    );
    expect(reply.status).toBe(403);
    const asForm = await new Browser(house).send('POST', 'auth/sign-in', undefined, {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(asForm.status).toBeGreaterThanOrEqual(400);
  });
});

describe('cookies', () => {
  it('are for this host over TLS only, where there is TLS, and are not read by scripts', async () => {
    const { email } = await newUser(house, adminKey);
    const browser = new Browser(house, '192.0.2.9');
    const tls = { 'x-forwarded-proto': 'https' };
    const reply = await browser.send('POST', 'auth/sign-in', { email, password: goodPassword }, tls);
    const lines = reply.headers['set-cookie'] as string[];
    expect(lines[0]).toMatch(
      /^__Host-gatehouse=[\w-]{43}; Path=\/; Max-Age=86400; SameSite=Lax; HttpOnly; Secure$/,
    );
    expect(lines[1]).toMatch(
      /^__Host-gatehouse-csrf=[\w-]{43}; Path=\/; Max-Age=86400; SameSite=Lax; Secure$/,
    );
    expect((await browser.send('GET', 'auth/account', undefined, tls)).status).toBe(200);
    // One without the prefix could have been set by a neighbour.
    const unprefixed = await new Browser(house).send('GET', 'auth/account', undefined, {
      ...tls,
      cookie: `gatehouse=${browser.cookies.get('__Host-gatehouse')}`,
    });
    expect(unprefixed.status).toBe(401);
  });
});
