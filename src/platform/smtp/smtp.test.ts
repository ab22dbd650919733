import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type SmtpReceiver,
  type SmtpReceiverOptions,
  startSmtpReceiver,
} from '../../../test/harness/smtp-receiver.ts';
import { systemClock } from '../clock.ts';
import { createSmtp, type SmtpSettings } from './index.ts';
import { wireForm } from './text-mail.ts';

let folder: string;
let pair: { cert: string; key: string };
const stops: (() => Promise<void>)[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-smtp-'));
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const given =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost';
  execFileSync('openssl', [...given.split(' '), '-keyout', key, '-out', cert], { stdio: 'ignore' });
  pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
});
afterAll(async () => {
  for (const stop of stops) await stop();
  rmSync(folder, { recursive: true });
});

const receiver = async (options: SmtpReceiverOptions = {}): Promise<SmtpReceiver> => {
  const made = await startSmtpReceiver({ pair, ...options });
  stops.push(made.stop);
  return made;
};
const client = ({ port }: SmtpReceiver, given: Partial<SmtpSettings> = {}) =>
  createSmtp(
    {
      host: 'localhost',
      port,
      security: 'none',
      user: null,
      password: async () => null,
      from: 'Gatehouse <no-reply@example.org>',
      ca: pair.cert,
      ...given,
    },
    systemClock,
  );
const mail = { id: 'test-1', to: 'kim@example.org', subject: 'Hello', text: 'One.\n.\nTwo, après tout.\n' };
const login = { user: 'sender', password: 'pa ss\u00e9' };
const asLogin = { user: login.user, password: async () => login.password };

describe('mail', () => {
  it('arrives as it was written, also lines that look like the end', async () => {
    const server = await receiver();
    await client(server).send({
      ...mail,
      subject: 'Grüße – und ein sehr langer Betreff, der in einem Wort nicht Platz hat',
    });
    expect(server.mails).toHaveLength(1);
    expect(server.mails[0]).toMatchObject({
      from: '<no-reply@example.org>',
      to: '<kim@example.org>',
      text: mail.text,
      encrypted: false,
      headers: {
        from: 'Gatehouse <no-reply@example.org>',
        to: 'kim@example.org',
        'message-id': '<test-1@example.org>',
        'auto-submitted': 'auto-generated',
      },
    });
    const words = server.mails[0]?.headers.subject?.split(' ') ?? [];
    const decoded = words.map((word) => Buffer.from(word.slice(10, -2), 'base64').toString('utf8')).join('');
    expect(decoded).toBe('Grüße – und ein sehr langer Betreff, der in einem Wort nicht Platz hat');
  });

  it('goes over TLS from the first byte, or after STARTTLS, and only there does its sender sign in', async () => {
    for (const security of ['tls', 'starttls'] as const) {
      for (const ways of ['PLAIN', 'LOGIN'] as const) {
        const server = await receiver({ security, login, ways });
        await client(server, { security, ...asLogin }).send(mail);
        expect(server.mails[0]).toMatchObject({ user: 'sender', encrypted: true });
        expect(server.inTheClear.map((line) => line.split(' ')[0])).toEqual(
          security === 'tls' ? [] : ['EHLO', 'STARTTLS'],
        );
      }
    }
  });

  it('is not sent when the certificate is not the host’s, or nobody vouches for it', async () => {
    for (const security of ['tls', 'starttls'] as const) {
      const server = await receiver({ security, login });
      const byAddress = client(server, { security, ...asLogin, host: '127.0.0.1' }).send(mail);
      await expect(byAddress).rejects.toThrow('no TLS with the server');
      const unknown = client(server, { security, ...asLogin, ca: 'none' });
      await expect(unknown.send(mail)).rejects.toThrow();
      expect(server.mails).toEqual([]);
    }
  });

  it('is not sent in the clear when the server does not begin TLS', async () => {
    const server = await receiver({ login });
    await expect(client(server, { security: 'starttls', ...asLogin }).send(mail)).rejects.toMatchObject({
      message: 'the server refused STARTTLS: 500 5.5.1',
      permanent: false,
    });
    // Somebody in between who adds what they like behind the reply.
    const between = await receiver({ security: 'starttls', login });
    between.answer('STARTTLS', '220 go on\r\n250 AUTH PLAIN');
    await expect(client(between, { security: 'starttls', ...asLogin }).send(mail)).rejects.toThrow(
      'out of turn',
    );
    expect([...server.inTheClear, ...between.inTheClear].join()).not.toContain('AUTH');
  });

  it('that is refused says by codes why, without what it was about, and whether trying again is of use', async () => {
    const server = await receiver();
    for (const [beginning, reply, message, permanent] of [
      ['RCPT', '550 5.1.1 <kim@example.org> nobody', 'the server refused the recipient: 550 5.1.1', true],
      ['RCPT', '451 4.7.1 greylisted kim@example.org', 'the server refused the recipient: 451 4.7.1', false],
      ['DATA', '452 full', 'the server refused the message: 452', false],
      ['EHLO', 'hello', 'the server does not speak SMTP', false],
    ] as const) {
      server.answer(beginning, reply);
      await expect(client(server).send(mail)).rejects.toMatchObject({ message, permanent });
      server.answer(beginning, null);
    }
    const closed = await startSmtpReceiver();
    await closed.stop();
    await expect(client(closed).send(mail)).rejects.toMatchObject({ permanent: false });
    const wrong = await receiver({ security: 'tls', login });
    await client(wrong, { security: 'tls', ...asLogin }).check();
    expect(wrong.mails).toEqual([]);
    const refused = client(wrong, { security: 'tls', ...asLogin, password: async () => 'another' }).send(
      mail,
    );
    await expect(refused).rejects.toThrow('the server refused user or password: 535 5.7.8');
  });

  it('is given up when the server says nothing for a minute', async () => {
    const met = Promise.withResolvers<void>();
    const silent = createServer(() => met.resolve());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    stops.push(() => new Promise((resolve) => silent.close(() => resolve())));
    const slept: number[] = [];
    const sleep = (ms: number) => {
      slept.push(ms);
      return met.promise;
    };
    const { port } = silent.address() as AddressInfo;
    const from = 'a@b.test';
    const settings = { host: '127.0.0.1', port, security: 'none', user: null, from } as const;
    const waiting = createSmtp({ ...settings, password: async () => null }, { now: systemClock.now, sleep });
    await expect(waiting.send(mail)).rejects.toThrow('the server took too long');
    expect(slept).toEqual([60_000]);
  });
});

describe('the form of a message', () => {
  const now = new Date('2026-01-02T03:04:05Z');

  it('has no line but its own, whatever is put into it', () => {
    const anything = fc.uint16Array({ maxLength: 300 }).map((units) => String.fromCharCode(...units));
    const check = (subject: string, text: string) => {
      const form = wireForm({ id: 'x', to: 'kim@example.org', subject, text }, 'a@b.test', now);
      const [head = '', body = ''] = form.split('\r\n\r\n');
      const names = head.split('\r\n').filter((line) => !line.startsWith(' '));
      expect(names.map((line) => line.split(':')[0]).join()).toBe(
        'From,To,Subject,Date,Message-ID,MIME-Version,Content-Type,Content-Transfer-Encoding,Auto-Submitted',
      );
      expect(form.split('\r\n').every((line) => line.length <= 998 && !line.startsWith('.'))).toBe(true);
      expect(Buffer.from(body, 'base64').toString('utf8')).toBe(Buffer.from(text).toString('utf8'));
    };
    fc.assert(fc.property(anything, anything, check), { numRuns: 50 });
    check('Hello\r\nBcc: somebody@example.org', '\r\n.\r\nQUIT\r\n');
  });

  it('goes to no address that could be more than one, or a command', () => {
    for (const to of [
      'a@b.test>\r\nRCPT TO:<c@d.test',
      'a b@c.test',
      'a@b.test, c@d.test',
      'nobody',
      '<a@b>c',
    ]) {
      expect(() => wireForm({ ...mail, to }, 'a@b.test', now)).toThrow(TypeError);
    }
  });
});
