import { describe, expect, it } from 'vitest';
import { loadConfig } from './config.ts';

const from = { GATEHOUSE_MAIL_FROM: 'Gatehouse <no-reply@example.org>' };
const mailOf = (given: Record<string, string>) => loadConfig(given).mail;

describe('mail', () => {
  it('is sent by nobody unless a server is named', () => {
    expect(mailOf({})).toBeNull();
  });

  it('goes to a server for submission, with TLS unless it is said otherwise', () => {
    expect(mailOf({ ...from, GATEHOUSE_SMTP_URL: 'smtp://us%40er:pa%2Fss@mail.example.org' })).toEqual({
      host: 'mail.example.org',
      port: 587,
      security: 'starttls',
      user: 'us@er',
      password: 'pa/ss',
      from: from.GATEHOUSE_MAIL_FROM,
      pages: null,
    });
    expect(
      mailOf({
        ...from,
        GATEHOUSE_SMTP_URL: 'smtps://user:ignored@[::1]',
        GATEHOUSE_SMTP_PASSWORD: 'file:/run/secrets/smtp',
        GATEHOUSE_MAIL_PAGES: 'https://people.example.org/',
      }),
    ).toMatchObject({ host: '::1', port: 465, security: 'tls', password: 'file:/run/secrets/smtp' });
    expect(
      mailOf({ ...from, GATEHOUSE_SMTP_URL: 'smtp://127.0.0.1:2525', GATEHOUSE_SMTP_TLS: 'none' }),
    ).toMatchObject({ port: 2525, security: 'none', user: null, password: null });
  });

  it('is set up whole, with a sender, and never with a password in the clear', () => {
    const server = { GATEHOUSE_SMTP_URL: 'smtp://user:secret-of-test@mail.example.org' };
    expect(() => mailOf(server)).toThrow(/GATEHOUSE_MAIL_FROM is needed for mail, for example/);
    expect(() => mailOf(from)).toThrow(/GATEHOUSE_SMTP_URL is needed for mail, for example/);
    expect(() => mailOf({ ...server, ...from, GATEHOUSE_SMTP_TLS: 'none' })).toThrow(
      /^(?!.*secret-of-test).*in the clear/s,
    );
    for (const sender of ['nobody', 'a@b.test\r\nBcc: c@d.test', 'x <a@b.test>, <c@d.test>']) {
      expect(() => mailOf({ ...server, GATEHOUSE_MAIL_FROM: sender })).toThrow(/GATEHOUSE_MAIL_FROM must be/);
    }
    expect(() => mailOf({ ...from, GATEHOUSE_SMTP_URL: 'https://mail.example.org' })).toThrow(
      /starts with smtp:/,
    );
  });
});
