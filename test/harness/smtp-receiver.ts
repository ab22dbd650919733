import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';

export interface ReceivedMail {
  readonly from: string;
  readonly to: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Who had signed in; null: nobody. */
  readonly user: string | null;
  readonly encrypted: boolean;
}

export interface SmtpReceiver {
  readonly port: number;
  readonly mails: ReceivedMail[];
  /** All that clients said before TLS. */
  readonly inTheClear: string[];
  /** Lines that are answered otherwise from now on, by how they begin; null as before. */
  answer(beginning: string, reply: string | null): void;
  stop(): Promise<void>;
}

export interface SmtpReceiverOptions {
  readonly security?: 'none' | 'starttls' | 'tls';
  readonly pair?: { readonly cert: string; readonly key: string };
  /** Who may sign in; absent: nobody need. */
  readonly login?: { readonly user: string; readonly password: string };
  readonly ways?: 'PLAIN' | 'LOGIN';
}

/** A mail server on loopback that keeps what it is given. */
export async function startSmtpReceiver(options: SmtpReceiverOptions = {}): Promise<SmtpReceiver> {
  const mails: ReceivedMail[] = [];
  const inTheClear: string[] = [];
  const answers = new Map<string, string>();
  const open = new Set<Socket>();

  const serve = (socket: Socket, encrypted: boolean, greet: boolean): void => {
    open.add(socket);
    let unread = '';
    let user: string | null = null;
    let from = '';
    let to = '';
    let mode: 'commands' | 'message' | 'user' | 'password' = 'commands';
    let given = '';
    const say = (line: string) => socket.write(`${line}\r\n`);
    const decoded = (text: string) => Buffer.from(text, 'base64').toString('utf8');
    const finish = (name: string, password: string) => {
      mode = 'commands';
      const right = name === options.login?.user && password === options.login.password;
      user = right ? name : null;
      say(right ? '235 2.7.0 welcome' : '535 5.7.8 wrong');
    };
    const command = (line: string): void => {
      const known = [...answers].find(([beginning]) => line.startsWith(beginning));
      if (known) return void say(known[1]);
      if (line.startsWith('EHLO')) {
        const features = [
          ...(options.security === 'starttls' && !encrypted ? ['STARTTLS'] : []),
          ...(options.login ? [`AUTH ${options.ways ?? 'PLAIN'}`] : []),
        ];
        say(
          ['receiver.test', ...features]
            .map((f, i, all) => `250${i < all.length - 1 ? '-' : ' '}${f}`)
            .join('\r\n'),
        );
      } else if (line === 'STARTTLS' && options.security === 'starttls' && !encrypted) {
        say('220 go on');
        socket.removeAllListeners('data');
        const secure = new TLSSocket(socket, { isServer: true, ...options.pair });
        secure.on('error', () => {});
        serve(secure, true, false);
      } else if (line.startsWith('AUTH PLAIN ')) {
        const [, name = '', password = ''] = decoded(line.slice(11)).split('\0');
        finish(name, password);
      } else if (line === 'AUTH LOGIN') {
        mode = 'user';
        say('334 VXNlcm5hbWU6');
      } else if (line.startsWith('MAIL FROM:')) {
        from = line.slice(10);
        say(options.login && user === null ? '530 5.7.0 sign in first' : '250 2.1.0 ok');
      } else if (line.startsWith('RCPT TO:')) {
        to = line.slice(8);
        say('250 2.1.5 ok');
      } else if (line === 'DATA') {
        mode = 'message';
        say('354 go on');
      } else if (line === 'QUIT') {
        say('221 bye');
        socket.end();
      } else say('500 5.5.1 what?');
    };
    const hear = (part: Buffer): void => {
      unread += part.toString('utf8');
      for (;;) {
        const end = unread.indexOf(mode === 'message' ? '\r\n.\r\n' : '\r\n');
        if (end < 0) return;
        const line = unread.slice(0, end);
        unread = unread.slice(end + (mode === 'message' ? 5 : 2));
        if (!encrypted) inTheClear.push(line);
        if (mode === 'message') {
          mode = 'commands';
          mails.push({ from, to, user, encrypted, ...partsOf(line) });
          say('250 2.0.0 taken');
        } else if (mode === 'user') {
          given = decoded(line);
          mode = 'password';
          say('334 UGFzc3dvcmQ6');
        } else if (mode === 'password') finish(given, decoded(line));
        else command(line);
      }
    };
    socket.on('data', hear);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    if (greet) say('220 receiver.test');
  };

  const server: Server =
    options.security === 'tls'
      ? createTlsServer({ ...options.pair }, (socket) => serve(socket, true, true))
      : createServer((socket) => serve(socket, false, true));
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    mails,
    inTheClear,
    answer(beginning, reply) {
      if (reply === null) answers.delete(beginning);
      else answers.set(beginning, reply);
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function partsOf(message: string): Pick<ReceivedMail, 'headers' | 'text'> {
  const [head = '', body = ''] = message.split('\r\n\r\n');
  const lines = head.replaceAll('\r\n ', ' ').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  return { headers, text: Buffer.from(body, 'base64').toString('utf8') };
}

/** The secret in a mail of ours. */
export function tokenIn(mail: Pick<ReceivedMail, 'text'> | undefined): string {
  const token = /(?:^|#token=)([A-Za-z0-9_-]{43})$/m.exec(mail?.text ?? '')?.[1];
  if (token === undefined) throw new Error('no token in this mail');
  return token;
}
