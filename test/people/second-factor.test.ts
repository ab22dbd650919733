import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

let house: House;
let adminKey: string;

beforeAll(async () => {
  house = await createHouse();
  ({ adminKey } = await house.tenant('acme'));
});
afterAll(() => house.stop());

const step = 30_000;
const codeAt = (secret: string, stepsFromNow = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({
    timestamp: house.now().getTime() + stepsFromNow * step,
  });

/** A user with one-time codes; the code of this moment is used up. */
async function careful() {
  const user = await newUser(house, adminKey);
  const begun = await user.browser.send('POST', 'auth/totp', { password: goodPassword });
  const { secret, uri } = begun.json;
  expect(uri).toContain(`secret=${secret}`);
  const confirmed = await user.browser.send('POST', 'auth/totp/confirm', { otp: codeAt(secret) });
  expect(confirmed.status).toBe(200);
  return { ...user, secret: secret as string, codes: confirmed.json.recovery_codes as string[] };
}

const password = (email: string, browser: Browser, more = {}) =>
  browser.send('POST', 'auth/sign-in', { email, password: goodPassword, ...more });

describe('one-time codes', () => {
  it('are set up by who knows the password, and only count once the first was right', async () => {
    const { browser, email } = await newUser(house, adminKey);
    expect((await browser.send('POST', 'auth/totp', { password: 'wrong' })).status).toBe(422);
    const { json } = await browser.send('POST', 'auth/totp', { password: goodPassword });
    expect((await browser.send('POST', 'auth/totp/confirm', { otp: '000000' })).status).toBe(422);
    expect((await password(email, new Browser(house, '192.0.2.2'))).json.status).toBe('signed_in');
    const before = browser.cookies.get('gatehouse');
    expect((await browser.send('POST', 'auth/totp/confirm', { otp: codeAt(json.secret) })).status).toBe(200);
    // Whoever had the old secret of this session does not have the new one.
    expect(browser.cookies.get('gatehouse')).not.toBe(before);
    expect((await browser.send('GET', 'auth/account')).json.second_factor).toEqual({
      otp: true,
      passkeys: 0,
      recovery_codes_left: 10,
      required: false,
      missing: null,
    });
    expect((await password(email, new Browser(house, '192.0.2.2'))).json.status).toBe('second_factor_needed');
  });

  it('are asked for after the password, work one step around now, and each once', async () => {
    const { email, secret } = await careful();
    const browser = new Browser(house, '192.0.2.3');
    const asked = await password(email, browser);
    expect(browser.cookies.size).toBe(0);
    const go = (sign_in: string, otp: string) =>
      browser.send('POST', 'auth/sign-in/second-factor', { sign_in, otp });
    expect((await go(asked.json.sign_in, codeAt(secret, 2))).status).toBe(401);
    expect((await go(asked.json.sign_in, codeAt(secret))).status).toBe(401);
    const next = codeAt(secret, 1);
    expect((await go(asked.json.sign_in, next)).json.status).toBe('signed_in');
    // Neither the code nor the sign-in again.
    const again = await password(email, new Browser(house, '192.0.2.3'));
    expect((await go(again.json.sign_in, next)).status).toBe(401);
    house.advance(2 * step);
    expect((await go(asked.json.sign_in, codeAt(secret))).status).toBe(401);
    expect((await go(again.json.sign_in, codeAt(secret))).status).toBe(200);
  });

  it('sign one in once when one is sent twice at the same time', async () => {
    const { email, secret } = await careful();
    house.advance(2 * step);
    const otp = codeAt(secret);
    const replies = await Promise.all(
      [1, 2, 3].map(() => password(email, new Browser(house, '192.0.2.4'), { otp })),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
  });

  it('cannot be guessed: five wrong ones end the sign-in and lock further ones out for a while', async () => {
    const { email, secret } = await careful();
    house.advance(2 * step);
    const browser = new Browser(house, '192.0.2.5');
    const { json } = await password(email, browser);
    const guess = (otp: string) =>
      browser.send('POST', 'auth/sign-in/second-factor', { sign_in: json.sign_in, otp });
    const right = codeAt(secret);
    const wrong = right === '111111' ? '222222' : '111111';
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await guess(wrong)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    expect((await guess(right)).status).toBe(401);
    expect((await password(email, browser, { otp: right })).status).toBe(429);
    house.advance(2 * 60_000);
    expect((await password(email, browser, { otp: codeAt(secret) })).status).toBe(200);
  });

  it('are asked for after a forgotten password was replaced, too: a link is no second factor', async () => {
    const { email, id, secret } = await careful();
    const admin = { authorization: `Bearer ${adminKey}` };
    const { json } = await new Browser(house).send('POST', `users/${id}/password-reset`, undefined, admin);
    const browser = new Browser(house, '192.0.2.12');
    const used = await browser.send('POST', 'auth/password/reset', {
      token: json.token,
      password: `${goodPassword}-2`,
    });
    expect([used.status, browser.cookies.size]).toEqual([204, 0]);
    const again = { password: `${goodPassword}-2` };
    expect((await password(email, browser, again)).json.status).toBe('second_factor_needed');
    expect(browser.cookies.size).toBe(0);
    house.advance(2 * step);
    const signedIn = await password(email, browser, { ...again, otp: codeAt(secret) });
    expect(signedIn.json.status).toBe('signed_in');
  });

  it('are needed by programs that sign in, too', async () => {
    const { email, id, secret } = await careful();
    house.advance(2 * step);
    const check = (more: object) =>
      house.people.passwordSignIn.checkAll({ email, password: goodPassword, ...more }, '192.0.2.6');
    await expect(check({})).rejects.toMatchObject({ code: 'unauthenticated' });
    expect((await check({ otp: codeAt(secret) })).id).toBe(id);
  });

  it('are turned off by a code only, or by an administrator, which ends every session', async () => {
    const { browser, email, id, secret } = await careful();
    expect((await browser.send('POST', 'auth/totp/remove', {})).status).toBe(401);
    house.advance(2 * step);
    expect((await browser.send('POST', 'auth/totp/remove', { otp: codeAt(secret) })).status).toBe(204);
    const again = await careful();
    const admin = { authorization: `Bearer ${adminKey}` };
    const removed = await new Browser(house).send(
      'DELETE',
      `users/${again.id}/second-factors`,
      undefined,
      admin,
    );
    expect(removed.status).toBe(204);
    expect((await again.browser.send('GET', 'auth/account')).status).toBe(401);
    expect((await password(again.email, new Browser(house, '192.0.2.7'))).json.status).toBe('signed_in');
    expect((await password(email, new Browser(house, '192.0.2.7'))).json).toMatchObject({ user_id: id });
  });
});

describe('recovery codes', () => {
  it('work once each, however they are typed, and are replaced by new ones', async () => {
    const { browser, email, codes, secret } = await careful();
    expect(new Set(codes).size).toBe(10);
    // Five bits a character: 120, where a fast hash needs 112.
    for (const code of codes) expect(code).toMatch(/^([A-Z2-7]{4}-){5}[A-Z2-7]{4}$/);
    const [first = '', second = '', third = ''] = codes;
    const use = (recovery_code: string) =>
      password(email, new Browser(house, '192.0.2.8'), { recovery_code });
    expect((await use(first)).status).toBe(200);
    expect((await use(first)).status).toBe(401);
    expect((await use(second.toLowerCase().replaceAll('-', ' '))).status).toBe(200);
    house.advance(2 * step);
    const renewed = await browser.send('POST', 'auth/recovery-codes', { otp: codeAt(secret) });
    expect(renewed.json.recovery_codes).toHaveLength(10);
    expect((await use(third)).status).toBe(401);
    expect((await use(renewed.json.recovery_codes[0])).status).toBe(200);
  });

  it('work once when sent at the same time', async () => {
    const { email, codes } = await careful();
    const replies = await Promise.all(
      [1, 2, 3].map(() => password(email, new Browser(house, '192.0.2.8'), { recovery_code: codes[0] })),
    );
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
  });
});
