/** What people are sent. Each holds a secret that works once, so that it goes nowhere but to its address. */
export interface MailMessage {
  /** The same when it is sent again. */
  readonly id: string;
  readonly kind: MailKind;
  readonly to: string;
  readonly name: string | null;
  readonly tenant: { readonly id: string; readonly name: string };
  readonly token: string;
  /** A page that takes the token; null when none was configured. */
  readonly link: string | null;
  readonly expiresAt: Date;
}

export type MailKind = 'invitation' | 'password_reset' | 'email_verification';

/** What brings mail on its way. */
export interface MailSender {
  /** In words, for administrators: by what, without secrets. */
  readonly by: string;
  /** @throws when it was not taken; then it is tried again, unless it is `permanent`. It holds nothing of the message. */
  send(message: MailMessage): Promise<void>;
}

const routeOf: Readonly<Record<MailKind, string>> = {
  invitation: '/api/v1/auth/invitations/accept',
  password_reset: '/api/v1/auth/password/reset',
  email_verification: '/api/v1/auth/email/verify',
};
const pageOf: Readonly<Record<MailKind, string>> = {
  invitation: 'invitation',
  password_reset: 'password-reset',
  email_verification: 'email-verification',
};

/**
 * @param pages where an installation's pages for people are; null when it has none.
 * @returns the page of a message. The token is behind `#`, which browsers send to no server and no log.
 */
export function linkOf(pages: string | null, kind: MailKind, token: string): string | null {
  return pages === null ? null : `${pages.replace(/\/+$/, '')}/${pageOf[kind]}#token=${token}`;
}

/** Subject and text of a message, in plain words and plain text. */
export function wordsOf(message: MailMessage): { subject: string; text: string } {
  const { kind, tenant, token, link, expiresAt } = message;
  const until = `${expiresAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const how = link ? `Open this page:\n\n${link}` : `Your token, for POST ${routeOf[kind]}:\n\n${token}`;
  const closing = `It works once, until ${until}.`;
  switch (kind) {
    case 'invitation':
      return {
        subject: 'You are invited to Gatehouse',
        text: `You are invited to Gatehouse, to ${tenant.name}.\n\n${how}\n\n${closing}\n`,
      };
    case 'password_reset':
      return {
        subject: 'Set a new password for Gatehouse',
        text:
          `Somebody, most likely you, asked for a new password of your account at Gatehouse (${tenant.name}).\n\n${how}\n\n` +
          `${closing} If it was not you, you need do nothing: your password stays as it is.\n`,
      };
    case 'email_verification':
      return {
        subject: 'Confirm your address for Gatehouse',
        text: `Confirm that this is the address of your account at Gatehouse (${tenant.name}).\n\n${how}\n\n${closing}\n`,
      };
  }
}
