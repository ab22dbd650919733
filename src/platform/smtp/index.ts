export { createSmtp, type Smtp, type SmtpSettings } from './smtp.ts';
export { SmtpError } from './smtp-conversation.ts';
export { addressIn, type TextMail } from './text-mail.ts';
