import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

let house: House;
let adminKey: string;

beforeAll(async () => {
  house = await createHouse();
  ({ adminKey } = await house.tenant('acme'));
});
afterAll(() => house.stop());

const signIn = (browser: Browser, email: string, password = goodPassword, more = {}) =>
  browser.send('POST', 'auth/sign-in', { email, password, ...more });
const asAdmin = { authorization: '' };
beforeAll(() => {
  asAdmin.authorization = `Bearer ${adminKey}`;
});

describe('signing in with a password', () => {
  it('gives a session that works, and ends when its user signs out', async () => {
    const { email, id } = await newUser(house, adminKey);
    const browser = new Browser(house);
    const reply = await signIn(browser, email.toUpperCase());
    expect(reply.json).toMatchObject({ status: 'signed_in', user_id: id });
    const account = await browser.send('GET', 'auth/account');
    expect(account.json.user).toMatchObject({ id, email, role: 'analyst' });
    expect(account.json.csrf_token).toBe(browser.cookies.get('gatehouse-csrf'));
    const stolen = new Map(browser.cookies);
    expect((await browser.send('POST', 'auth/sign-out')).status).toBe(204);
    const thief = new Browser(house);
    for (const [name, value] of stolen) thief.cookies.set(name, value);
    expect((await thief.send('GET', 'auth/account')).status).toBe(401);
  });

  it('answers alike for a stranger, a wrong password and a closed account, after the same work', async () => {
    const { email, id } = await newUser(house, adminKey);
    const closed = await newUser(house, adminKey);
    await new Browser(house).send('PATCH', `users/${closed.id}`, { disabled: true }, asAdmin);
    const before = house.notes.length;
    const replies = [
      await signIn(new Browser(house, '192.0.2.10'), 'nobody@example.org', 'wrong'),
      await signIn(new Browser(house, '192.0.2.11'), email, 'wrong'),
      await signIn(new Browser(house, '192.0.2.12'), closed.email, goodPassword),
    ];
    expect(replies.map(({ status }) => status)).toEqual([401, 401, 401]);
    expect(new Set(replies.map(({ json }) => json.detail)).size).toBe(1);
    expect(house.notes.slice(before)).toEqual([
      { action: 'sign_in.refused', userId: null },
      { action: 'sign_in.refused', userId: id },
      { action: 'sign_in.refused', userId: closed.id },
    ]);
  });

  it('is refused to a network for a while after five wrong passwords, whether or not the account exists', async () => {
    const { email } = await newUser(house, adminKey);
    const other = new Browser(house, '192.0.2.20');
    expect((await signIn(other, email)).status).toBe(200);
    for (const address of [email, 'nobody-at-all@example.org']) {
      const attacker = new Browser(house, '198.51.100.7');
      const statuses = [];
      for (let i = 0; i < 6; i++) statuses.push((await signIn(attacker, address, `wrong ${i}`)).status);
      expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
      const right = await signIn(attacker, address);
      expect(right.status).toBe(429);
      expect(Number(right.headers['retry-after'])).toBeGreaterThan(0);
    }
    // Their owner is not kept out.
    expect((await signIn(other, email)).status).toBe(200);
  });

  it('cannot be guessed faster by asking at once', async () => {
    const { email } = await newUser(house, adminKey);
    const tries = await Promise.all(
      Array.from({ length: 40 }, (_, i) => signIn(new Browser(house, '198.51.100.8'), email, `wrong ${i}`)),
    );
    expect(tries.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(5);
    expect(tries.every(({ status }) => [401, 429, 503].includes(status))).toBe(true);
  });

  it('from many networks is held up for those that the account never knew, and for no longer than 15 minutes', async () => {
    const { email } = await newUser(house, adminKey);
    const home = new Browser(house, '192.0.2.30');
    expect((await signIn(home, email)).status).toBe(200);
    for (let i = 0; i < 20; i++) await signIn(new Browser(house, `203.0.113.${i}`), email, 'wrong');
    expect((await signIn(new Browser(house, '203.0.113.100'), email)).status).toBe(429);
    expect((await signIn(home, email)).status).toBe(200);
    house.advance(15 * 60_000 + 1_000);
    expect((await signIn(new Browser(house, '203.0.113.101'), email)).status).toBe(200);
  });
});

describe('passwords', () => {
  it('must be long, and not what is guessed first', async () => {
    const admin = new Browser(house);
    const { json } = await admin.send(
      'POST',
      'users/invitations',
      { email: 'a.lindqvist@example.org' },
      asAdmin,
    );
    for (const password of [
      'short',
      'password1234',
      'qwertyuiopas',
      'a.lindqvist@example.org',
      'aaaaaaaaaaaaaaaa',
    ]) {
      const reply = await new Browser(house).send('POST', 'auth/invitations/accept', {
        token: json.token,
        password,
      });
      expect([password, reply.status]).toEqual([password, 422]);
      expect(reply.json.errors[0].path).toBe('password');
    }
  });

  it('are changed by who knows the one before; other sessions end and this one gets another secret', async () => {
    const { browser, email } = await newUser(house, adminKey);
    const other = new Browser(house, '192.0.2.50');
    await signIn(other, email);
    const secret = browser.cookies.get('gatehouse');
    const change = (current: string) =>
      browser.send('PUT', 'auth/password', { current_password: current, new_password: `${goodPassword}-2` });
    expect((await change('wrong')).status).toBe(422);
    expect((await change(goodPassword)).status).toBe(204);
    expect(browser.cookies.get('gatehouse')).not.toBe(secret);
    expect((await browser.send('GET', 'auth/account')).status).toBe(200);
    expect((await other.send('GET', 'auth/account')).status).toBe(401);
    expect((await signIn(new Browser(house, '192.0.2.51'), email)).status).toBe(401);
    expect((await signIn(new Browser(house, '192.0.2.51'), email, `${goodPassword}-2`)).status).toBe(200);
  });

  it('are reset by a link that works once, for an hour, unchanged, and ends every session', async () => {
    const { browser, email, id } = await newUser(house, adminKey);
    const admin = new Browser(house);
    const link = async () =>
      (await admin.send('POST', `users/${id}/password-reset`, undefined, asAdmin)).json.token;
    const use = (token: string, password = `${goodPassword}-3`) =>
      new Browser(house).send('POST', 'auth/password/reset', { token, password });
    const first = await link();
    const second = await link();
    expect((await use(first)).status).toBe(422);
    expect((await use(`${second.slice(0, -1)}${second.endsWith('A') ? 'B' : 'A'}`)).status).toBe(422);
    expect((await use(second)).status).toBe(204);
    expect((await use(second)).status).toBe(422);
    expect((await browser.send('GET', 'auth/account')).status).toBe(401);
    expect((await signIn(new Browser(house, '192.0.2.60'), email, `${goodPassword}-3`)).status).toBe(200);
    const late = await link();
    house.advance(3_600_001);
    expect((await use(late)).status).toBe(422);
  });

  it('cannot be set twice by one link used at once', async () => {
    const { id } = await newUser(house, adminKey);
    const { json } = await new Browser(house).send('POST', `users/${id}/password-reset`, undefined, asAdmin);
    const uses = await Promise.all(
      ['a', 'b', 'c'].map((end) =>
        new Browser(house).send('POST', 'auth/password/reset', {
          token: json.token,
          password: `${goodPassword}-${end}`,
        }),
      ),
    );
    expect(uses.map(({ status }) => status).sort()).toEqual([204, 422, 422]);
  });
});
