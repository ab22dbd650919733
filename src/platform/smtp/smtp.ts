import { connect, isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../clock.ts';
import { type Conversation, converse, refuseUnless, SmtpError } from './smtp-conversation.ts';
import { addressIn, type TextMail, wireForm } from './text-mail.ts';

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  /** `tls`: from the first byte (RFC 8314); `starttls`: before anything else is said, or not at all; `none`: never. */
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user: string | null;
  /** Asked for anew each time; null: none. */
  readonly password: () => Promise<string | null>;
  /** `Name <address>`, or an address. */
  readonly from: string;
  /** Certificates to trust beside the usual ones, in PEM. */
  readonly ca?: string;
}

export interface Smtp {
  /** @throws SmtpError; `permanent` when trying again is of no use. */
  send(mail: TextMail): Promise<void>;
  /** Goes as far as signing in, and sends nothing. @throws SmtpError. */
  check(): Promise<void>;
}

/** From the look-up of the name to the last reply. */
const totalMs = 60_000;

/**
 * Hands mail to a server for submission (RFC 6409), a connection each: there is little of it, and a connection that lasts
 * would have to be looked after. A certificate that does not fit its host is refused, by STARTTLS as well.
 */
export function createSmtp(settings: SmtpSettings, clock: Pick<Clock, 'now' | 'sleep'>): Smtp {
  const { host, port, security, user } = settings;
  // RFC 5321, 4.1.4: whoever has no full name says an address.
  const ourName = hostname().includes('.') ? hostname() : '[127.0.0.1]';
  const tlsOptions = {
    host,
    // A server is asked for by name only (RFC 6066, 3); an address is still checked against the certificate.
    ...(isIP(host) === 0 && { servername: host }),
    minVersion: 'TLSv1.2' as const,
    ...(settings.ca !== undefined && { ca: settings.ca }),
  };
  /** @returns the socket once it stands; it is among those that are opened from the beginning. */
  const standing = (socket: Socket, event: 'connect' | 'secureConnect', opened: Set<Socket>) =>
    new Promise<Socket>((resolve, reject) => {
      opened.add(socket);
      socket.once(event, () => resolve(socket));
      socket.once('error', (cause) =>
        reject(
          new SmtpError(`no ${event === 'connect' ? 'connection' : 'TLS'} with the server`, false, { cause }),
        ),
      );
    });

  const open = async (opened: Set<Socket>): Promise<Conversation & { features: readonly string[] }> => {
    let socket =
      security === 'tls'
        ? await standing(connectTls({ ...tlsOptions, port }), 'secureConnect', opened)
        : await standing(connect({ host, port }), 'connect', opened);
    let talk = converse(socket);
    refuseUnless(await talk.read(), 2, 'the connection');
    let hello = await talk.command(`EHLO ${ourName}`, 2, 'EHLO');
    if (security === 'starttls') {
      await talk.command('STARTTLS', 2, 'STARTTLS');
      // Whatever came in the clear behind the reply is somebody else's.
      if (talk.hasMore()) throw new SmtpError('the server spoke out of turn before TLS');
      talk.leave();
      socket = await standing(connectTls({ ...tlsOptions, socket }), 'secureConnect', opened);
      talk = converse(socket);
      hello = await talk.command(`EHLO ${ourName}`, 2, 'EHLO');
    }
    return { ...talk, features: hello.lines.slice(1).map((line) => line.toUpperCase()) };
  };

  const signIn = async (talk: Conversation & { features: readonly string[] }): Promise<void> => {
    const password = await settings.password();
    if (user === null || password === null) return;
    const ways = talk.features.find((line) => line.startsWith('AUTH '))?.split(' ') ?? [];
    const encoded = (text: string) => Buffer.from(text, 'utf8').toString('base64');
    if (ways.includes('PLAIN')) {
      await talk.command(`AUTH PLAIN ${encoded(`\0${user}\0${password}`)}`, 2, 'user or password');
    } else if (ways.includes('LOGIN')) {
      await talk.command('AUTH LOGIN', 3, 'AUTH LOGIN');
      await talk.command(encoded(user), 3, 'the user');
      await talk.command(encoded(password), 2, 'user or password');
    } else throw new SmtpError('the server offers no way to sign in by password');
  };

  const deliver = async (mail: TextMail, opened: Set<Socket>): Promise<void> => {
    const text = wireForm(mail, settings.from, clock.now());
    const talk = await open(opened);
    await signIn(talk);
    await talk.command(`MAIL FROM:<${addressIn(settings.from)}>`, 2, 'the sender');
    await talk.command(`RCPT TO:<${addressIn(mail.to)}>`, 2, 'the recipient');
    await talk.command('DATA', 3, 'the message');
    await talk.command(`${text}.`, 2, 'the message');
    talk.send('QUIT\r\n');
  };

  const within = async (work: (opened: Set<Socket>) => Promise<void>): Promise<void> => {
    const opened = new Set<Socket>();
    const done = new AbortController();
    const late = new Promise<never>((_resolve, reject) => {
      clock.sleep(totalMs, done.signal).then(
        () => reject(new SmtpError('the server took too long')),
        () => {},
      );
    });
    try {
      await Promise.race([work(opened), late]);
    } finally {
      done.abort();
      for (const socket of opened) {
        socket.on('error', () => {});
        socket.destroySoon();
      }
    }
  };

  return {
    send: (mail) => within((opened) => deliver(mail, opened)),
    check: () =>
      within(async (opened) => {
        const talk = await open(opened);
        await signIn(talk);
        talk.send('QUIT\r\n');
      }),
  };
}
