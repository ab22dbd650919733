import type { Socket } from 'node:net';

/** What a server said. */
export interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

/** Why a message was not taken. What servers say about it can hold addresses, so of that there are only the codes. */
export class SmtpError extends Error {
  /** Whether trying again is of no use. */
  readonly permanent: boolean;
  constructor(message: string, permanent = false, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SmtpError';
    this.permanent = permanent;
  }
}

/** All that is kept of what a server says before it is answered. */
const maxUnread = 64 * 1024;

export interface Conversation {
  /** The next reply. @throws SmtpError when the connection ends first. */
  read(): Promise<Reply>;
  /** Sends a line and reads the reply. @param expected the first digit of a good one. @throws SmtpError. */
  command(line: string, expected: 2 | 3, what: string): Promise<Reply>;
  send(text: string): void;
  /** Whether something came that nobody has asked for yet. */
  hasMore(): boolean;
  /** Nothing is read from the socket from now on, so that somebody else can take it. */
  leave(): void;
}

/** Replies of a server, one by one. */
export function converse(socket: Socket): Conversation {
  let unread = '';
  let failure: SmtpError | null = null;
  let waiting: { resolve: (reply: Reply) => void; reject: (error: SmtpError) => void } | null = null;

  const settle = () => {
    if (!waiting) return;
    const reply = failure ? null : takeReply();
    if (reply) waiting.resolve(reply);
    else if (failure) waiting.reject(failure);
    else return;
    waiting = null;
  };
  const takeReply = (): Reply | null => {
    const lines: string[] = [];
    let at = 0;
    for (;;) {
      const end = unread.indexOf('\n', at);
      if (end < 0) return null;
      const line = unread.slice(at, end).replace(/\r$/, '');
      at = end + 1;
      if (!/^\d{3}(?:[ -]|$)/.test(line)) {
        failure = new SmtpError('the server does not speak SMTP');
        return null;
      }
      lines.push(line.slice(4));
      if (line[3] !== '-') {
        unread = unread.slice(at);
        return { code: Number(line.slice(0, 3)), lines };
      }
    }
  };
  const fail = (error: SmtpError) => {
    failure ??= error;
    settle();
  };
  const hear = (part: Buffer) => {
    unread += part.toString('latin1');
    if (unread.length > maxUnread) fail(new SmtpError('the server said too much at once'));
    settle();
  };
  const broke = (cause: Error) => fail(new SmtpError('the connection broke', false, { cause }));
  const closed = () => fail(new SmtpError('the server closed the connection'));
  socket.on('data', hear);
  socket.on('error', broke);
  socket.on('close', closed);

  const read = () =>
    new Promise<Reply>((resolve, reject) => {
      waiting = { resolve, reject };
      settle();
      // What does not speak SMTP is found out while a reply is taken.
      if (failure) settle();
    });
  const send = (text: string) => {
    if (!failure) socket.write(text);
  };

  return {
    read,
    send,
    async command(line, expected, what) {
      send(`${line}\r\n`);
      return refuseUnless(await read(), expected, what);
    },
    hasMore: () => unread !== '',
    leave() {
      socket.off('data', hear);
      socket.off('error', broke);
      socket.off('close', closed);
    },
  };
}

/** What is wrong with a message stays wrong; what is wrong with the server is mended by somebody. */
const ofMessages = ['the recipient', 'the message'];

/** @throws SmtpError with the codes of a reply that does not begin with the expected digit. */
export function refuseUnless(reply: Reply, expected: 2 | 3, what: string): Reply {
  if (Math.floor(reply.code / 100) === expected) return reply;
  const enhanced = /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/.exec(reply.lines[0] ?? '')?.[0];
  const codes = enhanced === undefined ? `${reply.code}` : `${reply.code} ${enhanced}`;
  const permanent = reply.code >= 500 && ofMessages.includes(what);
  throw new SmtpError(`the server refused ${what}: ${codes}`, permanent);
}
