import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator } from '../harness/authenticator.ts';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

const origin = 'http://localhost:4999';
let house: House;
let adminKey: string;

beforeAll(async () => {
  house = await createHouse({ publicUrl: origin });
  ({ adminKey } = await house.tenant('acme'));
});
afterAll(() => house.stop());

type Change = Partial<{ challenge: string; origin: string; rpId: string; userVerified: boolean }>;

async function register(browser: Browser, authenticator: Authenticator, change: Change = {}) {
  const { json } = await browser.send('POST', 'auth/passkeys/options', { password: goodPassword });
  const response = authenticator.register({ challenge: json.options.challenge, origin, ...change });
  return browser.send('POST', 'auth/passkeys', { ceremony: json.ceremony, name: 'laptop', response });
}

async function withPasskey() {
  const user = await newUser(house, adminKey);
  const authenticator = new Authenticator();
  expect((await register(user.browser, authenticator)).status).toBe(201);
  return { ...user, authenticator };
}

const begin = async (sign_in?: string) =>
  (await new Browser(house).send('POST', 'auth/sign-in/passkey/options', sign_in ? { sign_in } : {})).json;
const finish = (browser: Browser, ceremony: string, response: object, sign_in?: string) =>
  browser.send('POST', 'auth/sign-in/passkey', { ceremony, response, ...(sign_in && { sign_in }) });

describe('a passkey', () => {
  it('is registered by who knows the password, and signs its user in without one', async () => {
    const { browser, id, authenticator } = await withPasskey();
    expect((await browser.send('POST', 'auth/passkeys/options', { password: 'wrong' })).status).toBe(422);
    const other = new Browser(house);
    const { ceremony, options } = await begin();
    expect(options.userVerification).toBe('required');
    const reply = await finish(
      other,
      ceremony,
      authenticator.signIn({ challenge: options.challenge, origin }, id),
    );
    expect(reply.json).toMatchObject({ status: 'signed_in', user_id: id });
    expect((await other.send('GET', 'auth/account')).json.user.id).toBe(id);
    const { json } = await other.send('GET', 'auth/passkeys');
    expect(json.passkeys).toMatchObject([{ name: 'laptop', last_used_at: expect.any(String) }]);
    expect((await other.send('DELETE', `auth/passkeys/${json.passkeys[0].id}`)).status).toBe(204);
    const gone = await begin();
    const refused = await finish(
      other,
      gone.ceremony,
      authenticator.signIn({ challenge: gone.options.challenge, origin }),
    );
    expect(refused.status).toBe(401);
  });

  it('takes the place of a one-time code after the password', async () => {
    const { browser, email, authenticator } = await withPasskey();
    const { json } = await browser.send('POST', 'auth/totp', { password: goodPassword });
    const otp = new TOTP({ secret: Secret.fromBase32(json.secret) }).generate({
      timestamp: house.now().getTime(),
    });
    expect((await browser.send('POST', 'auth/totp/confirm', { otp })).status).toBe(200);
    const other = new Browser(house, '192.0.2.70');
    const asked = await other.send('POST', 'auth/sign-in', { email, password: goodPassword });
    const { sign_in } = asked.json;
    const { ceremony, options } = await begin(sign_in);
    expect(options.allowCredentials).toMatchObject([{ id: authenticator.id }]);
    const response = authenticator.signIn({ challenge: options.challenge, origin, userVerified: false });
    // Not without the sign-in that it belongs to.
    expect((await finish(other, ceremony, response)).status).toBe(401);
    const again = await begin(sign_in);
    const right = authenticator.signIn({ challenge: again.options.challenge, origin, userVerified: false });
    expect((await finish(other, again.ceremony, right, sign_in)).json.status).toBe('signed_in');
  });
});

describe('attacks on passkeys', () => {
  const attempt = async (authenticator: Authenticator, change: Change, userHandle?: string) => {
    const { ceremony, options } = await begin();
    const browser = new Browser(house);
    const response = authenticator.signIn({ challenge: options.challenge, origin, ...change }, userHandle);
    const { status } = await finish(browser, ceremony, response);
    expect(browser.cookies.size > 0).toBe(status === 200);
    return status;
  };

  it('a counter that went back, or stands still, is a copy and is refused', async () => {
    const { authenticator } = await withPasskey();
    expect(await attempt(authenticator, {})).toBe(200);
    expect(await attempt(authenticator, {})).toBe(200);
    authenticator.counter -= 1;
    expect(await attempt(authenticator, {})).toBe(401);
    authenticator.counter = 0;
    expect(await attempt(authenticator, {})).toBe(401);
    authenticator.counter = 10;
    expect(await attempt(authenticator, {})).toBe(200);
  });

  it('another origin, another host, another challenge, an unchecked user, another user’s handle', async () => {
    const { authenticator } = await withPasskey();
    const stranger = await newUser(house, adminKey);
    expect(await attempt(authenticator, { origin: 'https://evil.example' })).toBe(401);
    expect(await attempt(authenticator, { origin: 'https://evil.example', rpId: 'localhost' })).toBe(401);
    expect(await attempt(authenticator, { rpId: 'evil.example' })).toBe(401);
    expect(await attempt(authenticator, { challenge: Buffer.alloc(32).toString('base64url') })).toBe(401);
    expect(await attempt(authenticator, { userVerified: false })).toBe(401);
    expect(await attempt(authenticator, {}, stranger.id)).toBe(401);
    expect(await attempt(new Authenticator(), {})).toBe(401);
    expect(await attempt(authenticator, {})).toBe(200);
  });

  it('an answer is used once, and not after five minutes', async () => {
    const { authenticator } = await withPasskey();
    const { ceremony, options } = await begin();
    const response = authenticator.signIn({ challenge: options.challenge, origin });
    expect((await finish(new Browser(house), ceremony, response)).status).toBe(200);
    expect((await finish(new Browser(house), ceremony, response)).status).toBe(401);
    // Also of a device that does not count, so that its answers look alike.
    const plain = await withPasskey();
    const once = await begin();
    plain.authenticator.counter = -1;
    const alike = plain.authenticator.signIn({ challenge: once.options.challenge, origin });
    expect((await finish(new Browser(house), once.ceremony, alike)).status).toBe(200);
    expect((await finish(new Browser(house), once.ceremony, alike)).status).toBe(401);
    const late = await begin();
    house.advance(300_001);
    const lateResponse = authenticator.signIn({ challenge: late.options.challenge, origin });
    expect((await finish(new Browser(house), late.ceremony, lateResponse)).status).toBe(401);
  });

  it('a signature that was changed', async () => {
    const { authenticator } = await withPasskey();
    const { ceremony, options } = await begin();
    const response = authenticator.signIn({ challenge: options.challenge, origin });
    const signature = Buffer.from(response.response.signature, 'base64url');
    signature.writeUInt8(signature.readUInt8(20) ^ 1, 20);
    response.response.signature = signature.toString('base64url');
    expect((await finish(new Browser(house), ceremony, response)).status).toBe(401);
  });

  it('a registration for another page, by another user, or of a passkey that is registered', async () => {
    const { browser } = await newUser(house, adminKey);
    const other = await newUser(house, adminKey);
    expect((await register(browser, new Authenticator(), { origin: 'https://evil.example' })).status).toBe(
      401,
    );
    expect((await register(browser, new Authenticator(), { rpId: 'evil.example' })).status).toBe(401);
    const { json } = await browser.send('POST', 'auth/passkeys/options', { password: goodPassword });
    const response = new Authenticator().register({ challenge: json.options.challenge, origin });
    const stolen = await other.browser.send('POST', 'auth/passkeys', {
      ceremony: json.ceremony,
      name: 'mine now',
      response,
    });
    expect(stolen.status).toBe(401);
    const authenticator = new Authenticator();
    expect((await register(browser, authenticator)).status).toBe(201);
    expect((await register(other.browser, authenticator)).status).toBe(409);
  });

  it('a passkey of a closed account', async () => {
    const { id, authenticator } = await withPasskey();
    await new Browser(house).send(
      'PATCH',
      `users/${id}`,
      { disabled: true },
      { authorization: `Bearer ${adminKey}` },
    );
    expect(await attempt(authenticator, {})).toBe(401);
  });
});
