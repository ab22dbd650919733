import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedMessage {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** As it came over the wire. */
  readonly body: string;
  readonly json: any;
}

/** Answers a message; `again` says how often the same path and `webhook-id` came before. */
export type Answer = (response: ServerResponse, message: ReceivedMessage, again: number) => void;

export interface Receiver {
  readonly url: string;
  readonly messages: ReceivedMessage[];
  /** The most messages with one `webhook-id` that were open at the same time. */
  mostAtOnce(): number;
  /** How the path is answered from now on; others are answered with 200. */
  answer(path: string, answer: Answer): void;
  stop(): Promise<void>;
}

/** A server that somebody's notifications go to, on loopback. */
export async function startReceiver(): Promise<Receiver> {
  const messages: ReceivedMessage[] = [];
  const answers = new Map<string, Answer>();
  const open = new Map<string, number>();
  let mostAtOnce = 0;
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString('utf8');
      const path = request.url ?? '';
      const id = String(request.headers['webhook-id']);
      const again = messages.filter((m) => m.path === path && m.headers['webhook-id'] === id).length;
      const message = {
        path,
        method: request.method ?? '',
        headers: request.headers,
        body,
        json: JSON.parse(body),
      };
      messages.push(message);
      const atOnce = (open.get(`${path} ${id}`) ?? 0) + 1;
      open.set(`${path} ${id}`, atOnce);
      mostAtOnce = Math.max(mostAtOnce, atOnce);
      response.once('close', () => open.set(`${path} ${id}`, (open.get(`${path} ${id}`) ?? 1) - 1));
      (answers.get(path) ?? ((r) => r.end('ok')))(response, message, again);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    mostAtOnce: () => mostAtOnce,
    answer: (path, how) => answers.set(path, how),
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export const answerWith =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers).end('an answer that nobody reads');
  };

/**
 * Whether a message is signed with the secret, worked out from the words of Standard Webhooks 1.0.0: one of the signatures in
 * the list is `v1,` and the base64 of HMAC-SHA-256 over `<id>.<timestamp>.<body as received>`, keyed with the base64 after
 * `whsec_`; and the timestamp is within five minutes of now.
 */
export function isSignedWith(secret: string, { headers, body }: ReceivedMessage): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': list } = headers;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const [prefix, key = ''] = secret.split('_');
  if (prefix !== 'whsec') return false;
  const mac = createHmac('sha256', Buffer.from(key, 'base64'));
  mac.update(`${id}.${timestamp}.`).update(body, 'utf8');
  return String(list)
    .split(' ')
    .includes(`v1,${mac.digest('base64')}`);
}
