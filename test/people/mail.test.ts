import { sql } from 'kysely';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smtpMailSender } from '../../src/access/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createSmtp } from '../../src/platform/smtp/index.ts';
import { Browser, createHouse, goodPassword, type House, newUser } from '../harness/people.ts';
import {
  type ReceivedMail,
  type SmtpReceiver,
  startSmtpReceiver,
  tokenIn,
} from '../harness/smtp-receiver.ts';

const pages = 'https://people.example.org/gatehouse/';
let receiver: SmtpReceiver;
let house: House;
let silent: House;
let adminKey: string;

beforeAll(async () => {
  receiver = await startSmtpReceiver();
  const smtp = createSmtp(
    {
      host: '127.0.0.1',
      port: receiver.port,
      security: 'none',
      user: null,
      password: async () => null,
      from: 'Gatehouse <no-reply@example.org>',
    },
    systemClock,
  );
  const mail = { sender: smtpMailSender(smtp, 'mail.example.org'), pages };
  house = await createHouse({ extras: { mail } });
  ({ adminKey } = await house.tenant('acme'));
  silent = await createHouse({ test: house.test });
});
afterAll(async () => {
  await silent.stop();
  await house.stop();
  await receiver.stop();
});

const admin = { authorization: '' };
beforeAll(() => {
  admin.authorization = `Bearer ${adminKey}`;
});
const as = (method: 'GET' | 'POST' | 'PATCH', url: string, body?: unknown, where = house) =>
  new Browser(where).send(method, url, body, admin);
const forgotten = (email: string, address = '192.0.2.1', where = house) =>
  new Browser(where, address).send('POST', 'auth/password/forgotten', { email });
const mailsTo = (email: string) => receiver.mails.filter(({ to }) => to === `<${email}>`);
/** The newest mail to an address, once there are so many. */
async function mailTo(email: string, count = 1): Promise<ReceivedMail> {
  await expect.poll(() => mailsTo(email).length, { timeout: 20_000 }).toBe(count);
  const newest = mailsTo(email).at(-1);
  if (!newest) throw new Error('no mail');
  return newest;
}
const waiting = async (): Promise<number> => {
  const { rows } = await sql<{ n: bigint }>`select count(*) as n from mail_due`.execute(
    house.test.database.platform,
  );
  return Number(rows[0]?.n);
};
/** Whatever was due has been looked at. */
const settled = () => expect.poll(waiting, { timeout: 20_000 }).toBe(0);
/** Somebody who was here before mail was: their invitation was handed over. */
const somebody = () => newUser(silent, adminKey);
const signIn = (email: string, password: string, browser = new Browser(house)) =>
  browser.send('POST', 'auth/sign-in', { email, password });

describe('whoever forgot the password', () => {
  it('gets a link by mail that works once, and ends whatever was signed in before', async () => {
    const { email, browser } = await somebody();
    expect((await forgotten(email.toUpperCase())).status).toBe(202);
    const mail = await mailTo(email);
    expect(mail.headers.subject).toBe('Set a new password for Gatehouse');
    expect(mail.text).toContain(`https://people.example.org/gatehouse/password-reset#token=${tokenIn(mail)}`);
    const password = 'copper-meadow-lantern-drift';
    const reset = () =>
      new Browser(house).send('POST', 'auth/password/reset', { token: tokenIn(mail), password });
    expect((await reset()).status).toBe(204);
    expect((await reset()).status).toBe(422);
    expect((await browser.send('GET', 'auth/account')).status).toBe(401);
    expect((await signIn(email, goodPassword)).status).toBe(401);
    const next = new Browser(house);
    expect((await signIn(email, password, next)).status).toBe(200);
    // Whoever has the mail reads the address.
    expect((await next.send('GET', 'auth/account')).json.user.email_verified_at).not.toBeNull();
  });

  it('is answered alike whether or not there is an account, and after the same work in the database', async () => {
    const { email } = await somebody();
    const replies = [];
    const due = [];
    for (const address of [email, 'nobody-at-all@example.org']) {
      const reply = await forgotten(address, '192.0.2.40', silentlyFed);
      replies.push([reply.status, reply.json, Object.keys(reply.headers).sort()]);
      const { rows } = await sql<{ kind: string; subject_id: null; tenant_id: null; at: string }>`
        select kind, subject_id, tenant_id, expires_at - created_at as at from mail_due where email = ${address}`.execute(
        house.test.database.platform,
      );
      due.push(rows);
    }
    expect(replies[0]).toEqual(replies[1]);
    expect(due[0]).toEqual(due[1]);
    await settled();
    expect(mailsTo('nobody-at-all@example.org')).toEqual([]);
  });

  it('gets none for a closed account, nor for one that signs in at an issuer only', async () => {
    const closed = await somebody();
    await as('PATCH', `users/${closed.id}`, { disabled: true });
    const without = await somebody();
    await sql`update users set password_hash = null where id = ${without.id}`.execute(
      house.test.database.platform,
    );
    for (const { email } of [closed, without])
      expect((await forgotten(email, '192.0.2.41')).status).toBe(202);
    await settled();
    expect([...mailsTo(closed.email), ...mailsTo(without.email)]).toEqual([]);
  });

  it('has half an hour, and the newest link only', async () => {
    const { email } = await somebody();
    await forgotten(email, '192.0.2.42');
    const first = await mailTo(email, 1);
    await forgotten(email, '192.0.2.42');
    const second = await mailTo(email, 2);
    const use = (token: string) =>
      new Browser(house).send('POST', 'auth/password/reset', {
        token,
        password: 'copper-meadow-lantern-drift',
      });
    expect((await use(tokenIn(first))).status).toBe(422);
    house.advance(30 * 60_000 + 1_000);
    expect((await use(tokenIn(second))).status).toBe(422);
  });

  it('is sent few at once, and a network that asks often is told to wait', async () => {
    const { email } = await somebody();
    for (let i = 0; i < 6; i++) expect((await forgotten(email, `198.51.100.${i}`)).status).toBe(202);
    await settled();
    // The last that came still works, so that nobody is kept from a new password by who asks for more.
    const last = await mailTo(email, 3);
    const password = 'copper-meadow-lantern-drift';
    const reset = await new Browser(house).send('POST', 'auth/password/reset', {
      token: tokenIn(last),
      password,
    });
    expect(reset.status).toBe(204);
    const statuses = [];
    for (let i = 0; i < 11; i++) statuses.push((await forgotten(`x${i}@example.org`, '203.0.113.9')).status);
    expect(statuses).toEqual([...Array(10).fill(202), 429]);
  });

  it('is still asked for one-time codes: a new password is one factor', async () => {
    const { email } = await somebody();
    const browser = new Browser(house);
    await signIn(email, goodPassword, browser);
    const { secret } = (await browser.send('POST', 'auth/totp', { password: goodPassword })).json;
    const otp = new TOTP({ secret: Secret.fromBase32(secret) }).generate({
      timestamp: house.now().getTime(),
    });
    expect((await browser.send('POST', 'auth/totp/confirm', { otp })).status).toBe(200);
    await forgotten(email, '192.0.2.43');
    const password = 'copper-meadow-lantern-drift';
    const token = tokenIn(await mailTo(email));
    expect((await new Browser(house).send('POST', 'auth/password/reset', { token, password })).status).toBe(
      204,
    );
    expect((await signIn(email, password)).json.status).toBe('second_factor_needed');
  });
});

describe('somebody who guesses all day, from everywhere', () => {
  it('cannot keep an administrator out: a link, and a network that is known, lead past every lock', async () => {
    const { email, browser } = await newUser(silent, adminKey, { role: 'admin' });
    await signIn(email, goodPassword, browser);
    const travelling = () => new Browser(house, '203.0.113.250');
    const guess = async (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        await signIn(email, 'wrong', new Browser(house, `198.51.100.${i + 1}`));
      }
    };
    await guess(21);
    // Hours later it is still so: each lock is followed by a guess.
    for (let hour = 0; hour < 8; hour++) {
      house.advance(15 * 60_000 + 1_000);
      await guess(1);
      expect((await signIn(email, goodPassword, travelling())).status).toBe(429);
    }
    expect((await signIn(email, goodPassword, new Browser(house, browser.address))).status).toBe(200);
    await forgotten(email, '203.0.113.250');
    const token = tokenIn(await mailTo(email));
    const password = 'copper-meadow-lantern-drift';
    expect((await travelling().send('POST', 'auth/password/reset', { token, password })).status).toBe(204);
    await guess(1);
    expect((await signIn(email, password, travelling())).status).toBe(200);
  });

  it('and knows the password, burns codes, and is out when it is another one', async () => {
    const { email } = await somebody();
    const browser = new Browser(house);
    await signIn(email, goodPassword, browser);
    const { secret } = (await browser.send('POST', 'auth/totp', { password: goodPassword })).json;
    const codeNow = () => {
      house.advance(31_000);
      return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: house.now().getTime() });
    };
    expect((await browser.send('POST', 'auth/totp/confirm', { otp: codeNow() })).status).toBe(200);
    const withCode = (password: string, otp: string) =>
      new Browser(house, '203.0.113.251').send('POST', 'auth/sign-in', { email, password, otp });
    for (let i = 0; i < 6; i++) await withCode(goodPassword, '000000');
    expect((await withCode(goodPassword, codeNow())).status).toBe(429);
    await forgotten(email, '203.0.113.252');
    const token = tokenIn(await mailTo(email));
    const password = 'copper-meadow-lantern-drift';
    expect((await new Browser(house).send('POST', 'auth/password/reset', { token, password })).status).toBe(
      204,
    );
    expect((await withCode(password, codeNow())).status).toBe(200);
  });
});

/** Takes requests and sends nothing, so that what is due can be looked at. */
let silentlyFed: House;
beforeAll(async () => {
  const sender = {
    by: 'by nobody',
    send: () => Promise.reject(new Error('this one sends nothing')),
  };
  silentlyFed = await createHouse({ test: house.test, extras: { mail: { sender, pages: null } } });
  // Of the two instances, the other one sends.
  await silentlyFed.people.mailing.stop();
});
afterAll(() => silentlyFed.stop());

describe('invitations', () => {
  it('are mailed, and then their token is in the mail only, and whoever accepts has shown the address', async () => {
    const email = 'invited@example.org';
    const invited = await as('POST', 'users/invitations', { email });
    expect(invited.json).toMatchObject({ email, token: null });
    const mail = await mailTo(email);
    expect(mail.headers.subject).toBe('You are invited to Gatehouse');
    const listed = async () => {
      const { invitations } = (await as('GET', 'users/invitations')).json;
      return invitations.find((row: any) => row.email === email).mailed_at;
    };
    expect(await listed()).toEqual(expect.any(String));
    expect(mail.text).toContain('https://people.example.org/gatehouse/invitation#token=');
    const browser = new Browser(house);
    const body = { token: tokenIn(mail), password: goodPassword };
    expect((await browser.send('POST', 'auth/invitations/accept', body)).status).toBe(201);
    expect((await browser.send('GET', 'auth/account')).json.user.email_verified_at).not.toBeNull();
  });

  it('are handed over where that is wanted, or no mail is configured, and then show nothing of the address', async () => {
    const wanted = await as('POST', 'users/invitations', { email: 'by-hand@example.org', mail: false });
    const needed = await as('POST', 'users/invitations', { email: 'by-hand-2@example.org' }, silent);
    for (const { json } of [wanted, needed]) {
      const browser = new Browser(house);
      const body = { token: json.token, password: goodPassword };
      expect((await browser.send('POST', 'auth/invitations/accept', body)).status).toBe(201);
      expect((await browser.send('GET', 'auth/account')).json.user.email_verified_at).toBeNull();
    }
  });

  it('that were withdrawn before they were sent are not sent', async () => {
    receiver.answer('MAIL', '451 4.3.0 later');
    const refusals = () => receiver.inTheClear.filter((line) => line.startsWith('MAIL')).length;
    const before = refusals();
    const { json } = await as('POST', 'users/invitations', { email: 'withdrawn@example.org' });
    await expect.poll(refusals, { timeout: 20_000 }).toBe(before + 1);
    const mailedAt = async () => {
      const { invitations } = (await as('GET', 'users/invitations')).json;
      return invitations.find((row: any) => row.id === json.id).mailed_at;
    };
    await expect.poll(mailedAt).toBeNull();
    const withdrawn = await new Browser(house).send(
      'DELETE',
      `users/invitations/${json.id}`,
      undefined,
      admin,
    );
    expect(withdrawn.status).toBe(204);
    receiver.answer('MAIL', null);
    house.advance(3_600_000);
    await settled();
    expect(mailsTo('withdrawn@example.org')).toEqual([]);
  });
});

describe('mail', () => {
  it('is tried again until the server takes it, and not when it never will', async () => {
    const { email } = await somebody();
    receiver.answer('RCPT', '451 4.7.1 later');
    await forgotten(email, '192.0.2.60');
    const tries = async () => {
      const { rows } = await sql<{
        attempts: number;
      }>`select attempts from mail_due where email = ${email}`.execute(house.test.database.platform);
      return rows[0]?.attempts;
    };
    await expect.poll(tries, { timeout: 20_000 }).toBe(1);
    receiver.answer('RCPT', null);
    house.advance(60_000);
    await mailTo(email);
    const gone = await somebody();
    receiver.answer('RCPT', '550 5.1.1 nobody');
    await forgotten(gone.email, '192.0.2.61');
    await settled();
    receiver.answer('RCPT', null);
    expect(mailsTo(gone.email)).toEqual([]);
  });

  it('that is due holds no secret, and neither does the database, nor the audit log', async () => {
    const { email } = await somebody();
    await forgotten(email, '192.0.2.62');
    const token = tokenIn(await mailTo(email));
    const { rows: tables } = await sql<{
      name: string;
    }>`select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE'`.execute(house.test.database.platform);
    const holding = [];
    for (const { name } of tables) {
      const { rows } =
        await sql`select 1 from ${sql.table(name)} t where t::text like ${`%${token}%`} limit 1`.execute(
          house.test.database.platform,
        );
      if (rows.length > 0) holding.push(name);
    }
    expect(tables.length).toBeGreaterThan(50);
    expect(holding).toEqual([]);
    expect(mailsTo(email)[0]?.headers.subject).not.toContain(token);
  });

  it('confirms one’s own address', async () => {
    const { email } = await somebody();
    const here = new Browser(house);
    await signIn(email, goodPassword, here);
    expect((await here.send('GET', 'auth/account')).json.user.email_verified_at).toBeNull();
    expect((await here.send('POST', 'auth/email/verification')).status).toBe(202);
    const token = tokenIn(await mailTo(email));
    const verify = (given: string) => new Browser(house).send('POST', 'auth/email/verify', { token: given });
    expect((await verify(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`)).status).toBe(422);
    expect((await verify(token)).status).toBe(204);
    expect((await verify(token)).status).toBe(422);
    expect((await here.send('GET', 'auth/account')).json.user.email_verified_at).not.toBeNull();
  });

  it('that is not configured is told to whoever needs it, the same for every address', async () => {
    const { email, browser } = await somebody();
    for (const address of [email, 'nobody-at-all@example.org']) {
      const reply = await forgotten(address, '192.0.2.63', silent);
      expect([reply.status, reply.json.code]).toEqual([422, 'no_mail_configured']);
    }
    expect((await browser.send('POST', 'auth/email/verification')).json.code).toBe('no_mail_configured');
    const policy = async (where: House) => (await as('GET', 'auth/policy', undefined, where)).json.mail;
    expect(await policy(silent)).toMatchObject({ configured: false });
    expect(await policy(house)).toEqual({
      configured: true,
      detail: 'Links are mailed by mail.example.org.',
    });
  });
});
