import { z } from 'zod';
import { addressIn } from './smtp/index.ts';

/** How people are reached by mail. */
export interface MailConfig {
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user: string | null;
  /** Or a reference to it. Shown to nobody. */
  readonly password: string | null;
  /** `Name <address>`, or an address. */
  readonly from: string;
  /** Where pages are that take the tokens of links; null: mails hold the token as it is. */
  readonly pages: string | null;
}

export const mailExamples: Readonly<Record<string, string>> = {
  GATEHOUSE_SMTP_URL: 'smtp://gatehouse@mail.example.com:587',
  GATEHOUSE_SMTP_PASSWORD: 'the password, or a reference such as file:/run/secrets/smtp',
  GATEHOUSE_SMTP_TLS: 'required',
  GATEHOUSE_MAIL_FROM: 'Gatehouse <no-reply@example.com>',
  GATEHOUSE_MAIL_PAGES: 'https://people.example.com/gatehouse',
};

const isServer = (text: string) =>
  URL.canParse(text) && /^smtps?:$/.test(new URL(text).protocol) && new URL(text).hostname !== '';
const isSender = (text: string) => {
  try {
    return !/[\r\n]/.test(text) && addressIn(text) !== '';
  } catch {
    return false;
  }
};

export const mailVariables = {
  GATEHOUSE_SMTP_URL: z
    .string()
    .refine(isServer, { message: 'must be a URL that starts with smtp:// or smtps://' })
    .optional(),
  GATEHOUSE_SMTP_PASSWORD: z.string().min(1).max(1_000).optional(),
  GATEHOUSE_SMTP_TLS: z.enum(['required', 'none']).default('required'),
  GATEHOUSE_MAIL_FROM: z
    .string()
    .max(500)
    .refine(isSender, { message: 'must be an address, or a name and an address in angle brackets' })
    .optional(),
  GATEHOUSE_MAIL_PAGES: z
    .string()
    .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
      message: 'must be a URL that starts with http:// or https://',
    })
    .optional(),
};

/** RFC 8314, 3.3: submission with TLS from the first byte; RFC 6409, 3.1: submission. */
const ports = { tls: 465, other: 587 } as const;

/** @returns null: no mail is sent. */
export function mailConfig(v: z.infer<z.ZodObject<typeof mailVariables>>): MailConfig | null {
  if (!v.GATEHOUSE_SMTP_URL || !v.GATEHOUSE_MAIL_FROM) return null;
  const url = new URL(v.GATEHOUSE_SMTP_URL);
  const implicit = url.protocol === 'smtps:';
  const inUrl = url.password === '' ? null : decodeURIComponent(url.password);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (implicit ? ports.tls : ports.other) : Number(url.port),
    security: implicit ? 'tls' : v.GATEHOUSE_SMTP_TLS === 'none' ? 'none' : 'starttls',
    user: url.username === '' ? null : decodeURIComponent(url.username),
    password: v.GATEHOUSE_SMTP_PASSWORD ?? inUrl,
    from: v.GATEHOUSE_MAIL_FROM,
    pages: v.GATEHOUSE_MAIL_PAGES ?? null,
  };
}

/** A server without a sender sends nothing, a sender without a server neither, and no password goes out in the clear. */
export function incompleteMail(given: Readonly<Record<string, string>>): { path: string; message: string }[] {
  const needed = (path: string) => ({
    path,
    message: `is needed for mail, for example ${path}=${mailExamples[path]}`,
  });
  const server = given.GATEHOUSE_SMTP_URL;
  if (server === undefined) {
    const others = Object.keys(mailExamples).filter((name) => given[name] !== undefined);
    return others.length === 0 ? [] : [needed('GATEHOUSE_SMTP_URL')];
  }
  const problems = given.GATEHOUSE_MAIL_FROM === undefined ? [needed('GATEHOUSE_MAIL_FROM')] : [];
  const clear = given.GATEHOUSE_SMTP_TLS === 'none' && !server.startsWith('smtps:');
  const user = isServer(server) ? new URL(server).username : '';
  if (clear && user !== '') {
    problems.push({
      path: 'GATEHOUSE_SMTP_TLS',
      message: 'cannot be none where a user signs in: the password would go over the network in the clear',
    });
  }
  return problems;
}
