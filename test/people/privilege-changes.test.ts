import { readFileSync } from 'node:fs';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator } from '../harness/authenticator.ts';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';

const origin = 'http://localhost:8080';
const newPassword = 'copper-meadow-lantern-drift';
let house: House;
let there: House;
let adminKey: string;

beforeAll(async () => {
  house = await createHouse({ publicUrl: origin });
  ({ adminKey } = await house.tenant('acme'));
  there = await createHouse({ test: house.test, publicUrl: origin });
});
afterAll(async () => {
  await there.stop();
  await house.stop();
});

interface Person {
  readonly id: string;
  readonly email: string;
  /** The session that makes the change, where it is one’s own. */
  readonly browser: Browser;
  readonly secret: string;
  readonly codes: readonly string[];
}

const asAdmin = (method: 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) =>
  new Browser(house).send(method, url, body, { authorization: `Bearer ${adminKey}` });
const codeOf = (secret: string) => {
  for (const instance of [house, there]) instance.advance(31_000);
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: house.now().getTime() });
};
async function enrol(browser: Browser) {
  const { secret } = (await browser.send('POST', 'auth/totp', { password: goodPassword })).json;
  const confirmed = await browser.send('POST', 'auth/totp/confirm', { otp: codeOf(secret) });
  expect(confirmed.status).toBe(200);
  return { secret, codes: confirmed.json.recovery_codes };
}
async function addPasskey(browser: Browser): Promise<string> {
  const begun = await browser.send('POST', 'auth/passkeys/options', { password: goodPassword });
  const { ceremony, options } = begun.json;
  const response = new Authenticator().register({ challenge: options.challenge, origin });
  const made = await browser.send('POST', 'auth/passkeys', { ceremony, name: 'device', response });
  expect(made.status).toBe(201);
  return made.json.id;
}

/** What makes a person ready for a change, and the change. Named as in the table of docs/users.md. */
const changes: Readonly<
  Record<
    string,
    {
      readonly before?: (browser: Browser) => Promise<object>;
      readonly change: (who: Person & any) => Promise<{ status: number }>;
    }
  >
> = {
  'password changed': {
    change: ({ browser }) =>
      browser.send('PUT', 'auth/password', { current_password: goodPassword, new_password: newPassword }),
  },
  'password reset by a link': {
    change: async ({ id }) => {
      const { json } = await asAdmin('POST', `users/${id}/password-reset`);
      return new Browser(house).send('POST', 'auth/password/reset', {
        token: json.token,
        password: newPassword,
      });
    },
  },
  'one-time codes turned on': {
    before: async (browser) => ({
      secret: (await browser.send('POST', 'auth/totp', { password: goodPassword })).json.secret,
    }),
    change: ({ browser, secret }) => browser.send('POST', 'auth/totp/confirm', { otp: codeOf(secret) }),
  },
  'one-time codes turned off': {
    before: enrol,
    change: ({ browser, secret }) => browser.send('POST', 'auth/totp/remove', { otp: codeOf(secret) }),
  },
  'recovery codes made anew': {
    before: enrol,
    change: ({ browser, secret }) => browser.send('POST', 'auth/recovery-codes', { otp: codeOf(secret) }),
  },
  'passkey added': {
    change: async ({ browser }) => {
      await addPasskey(browser);
      return { status: 201 };
    },
  },
  'passkey removed': {
    before: async (browser) => ({ passkey: await addPasskey(browser) }),
    change: ({ browser, passkey }) => browser.send('DELETE', `auth/passkeys/${passkey}`),
  },
  'second factors taken off by an administrator': {
    before: enrol,
    change: ({ id }) => asAdmin('DELETE', `users/${id}/second-factors`),
  },
  'another role': { change: ({ id }) => asAdmin('PATCH', `users/${id}`, { role: 'operator' }) },
  'other groups': { change: ({ id }) => asAdmin('PATCH', `users/${id}`, { groups: ['payroll'] }) },
  'other attributes': {
    change: ({ id }) => asAdmin('PATCH', `users/${id}`, { attributes: { clearance: 'secret' } }),
  },
  'account closed': { change: ({ id }) => asAdmin('PATCH', `users/${id}`, { disabled: true }) },
  'account deleted': { change: ({ id }) => asAdmin('DELETE', `users/${id}`) },
};

/** Rows of the table: what happens → what becomes of the session that did it. */
const documented = (): [string, string][] => {
  const text = readFileSync('docs/users.md', 'utf8');
  const table = text.slice(text.indexOf('| what happens |'));
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim());
    return [cells[1] ?? '', cells[2] ?? ''];
  });
};

describe('what somebody is signed in with, when what they may do or sign in with changes', () => {
  it('is told of in a table that has every change', () => {
    expect(documented().map(([what]) => what)).toEqual(Object.keys(changes));
  });

  for (const [what, { before, change }] of Object.entries(changes)) {
    it(`ends, but for the session that did it, under a new secret: ${what}`, async () => {
      const { browser, email, id } = await newUser(house, adminKey);
      const prepared = (await before?.(browser)) as { secret?: string } | undefined;
      const otp = prepared?.secret !== undefined && before === enrol ? { otp: codeOf(prepared.secret) } : {};
      const other = new Browser(house, '192.0.2.9');
      const body = { email, password: goodPassword, ...otp };
      expect((await other.send('POST', 'auth/sign-in', body)).json.status).toBe('signed_in');
      const again = before === enrol ? { otp: codeOf(prepared?.secret ?? '') } : {};
      const token = await new Browser(house).send('POST', 'auth/token', { ...body, ...again });
      expect(token.status).toBe(200);
      const elsewhere = new Browser(there);
      for (const [name, value] of other.cookies) elsewhere.cookies.set(name, value);
      const thief = new Browser(house);
      for (const [name, value] of browser.cookies) thief.cookies.set(name, value);
      const isSignedIn = async (who: Browser) => (await who.send('GET', 'auth/account')).status;
      const byToken = async () =>
        (
          await new Browser(there).send('GET', 'auth/account', undefined, {
            authorization: `Bearer ${token.json.access_token}`,
          })
        ).status;
      const known = [browser, other, elsewhere, thief];
      expect(await Promise.all([...known.map(isSignedIn), byToken()])).toEqual([200, 200, 200, 200, 200]);

      const reply = await change({ ...prepared, browser, email, id });
      expect(reply.status).toBeLessThan(300);

      const goesOn = documented().find(([name]) => name === what)?.[1] === 'goes on under a new secret';
      expect(await isSignedIn(other)).toBe(401);
      expect(await isSignedIn(thief)).toBe(401);
      expect(await isSignedIn(browser)).toBe(goesOn ? 200 : 401);
      await expect.poll(() => isSignedIn(elsewhere)).toBe(401);
      await expect.poll(byToken).toBe(401);
      const renewed = await new Browser(house).send('POST', 'auth/token', {
        grant_type: 'refresh_token',
        refresh_token: token.json.refresh_token,
      });
      expect(renewed.status).toBe(401);
    });
  }
});
