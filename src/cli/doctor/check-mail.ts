import { isReference } from '../../platform/secret-references/index.ts';
import { createSmtp } from '../../platform/smtp/index.ts';
import type { Facts } from './facts.ts';
import { type Check, ok, problem, skipped } from './finding.ts';

/** Whether mail to people is sent, and whether the server that it is handed to takes it from us. */
export const mailCheck: Check<Facts> = {
  name: 'mail',
  run: async ({ config, clock }) => {
    if (!config) return [skipped('mail', 'the configuration comes first')];
    const { mail } = config;
    if (mail === null) {
      return [
        ok(
          'mail',
          'none is sent: administrators hand invitations and new passwords over; set GATEHOUSE_SMTP_URL to send them',
        ),
      ];
    }
    // What a reference names is read by the server.
    const elsewhere = mail.password !== null && isReference(mail.password);
    const smtp = createSmtp({ ...mail, password: async () => (elsewhere ? null : mail.password) }, clock);
    const place = `${mail.host}:${mail.port}`;
    try {
      await smtp.check();
      return [ok('mail', `${place} takes mail${elsewhere ? '; its password was not tried' : ''}`)];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [
        problem(
          'mail',
          `${place}: ${why}`,
          'Check GATEHOUSE_SMTP_URL (server, port, user) and the password; for an authority of your own, NODE_EXTRA_CA_CERTS.',
        ),
      ];
    }
  },
};
