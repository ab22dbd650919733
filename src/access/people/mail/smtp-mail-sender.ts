import type { TextMail } from '../../../platform/smtp/index.ts';
import { type MailSender, wordsOf } from './mail-message.ts';

/** @param host named to administrators. */
export function smtpMailSender(smtp: { send(mail: TextMail): Promise<void> }, host: string): MailSender {
  return {
    by: `by ${host}`,
    send: (message) => smtp.send({ id: message.id, to: message.to, ...wordsOf(message) }),
  };
}
