import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as a provider got it. */
export interface SentRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Parsed, where it is JSON. */
  readonly body: Record<string, unknown>;
}

export interface ScriptedReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object goes out as JSON, a list as the events of a stream, bytes and text as they are. */
  readonly body: object | readonly object[] | string | Buffer;
}

export interface ScriptedProvider {
  readonly url: string;
  readonly requests: readonly SentRequest[];
  /** What the next requests are answered, in turn; the last one stays. */
  answers(...replies: readonly (ScriptedReply | ((response: ServerResponse) => void))[]): void;
  stop(): Promise<void>;
}

/** A provider that says what a test tells it to say, and keeps what it was asked. */
export async function startScriptedProvider(): Promise<ScriptedProvider> {
  const requests: SentRequest[] = [];
  let script: (ScriptedReply | ((response: ServerResponse) => void))[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      requests.push({ path: request.url ?? '', headers: request.headers, body: JSON.parse(text || '{}') });
      const reply = script.length > 1 ? script.shift() : script[0];
      if (typeof reply === 'function') reply(response);
      else send(response, reply ?? { status: 500, body: { error: { message: 'nothing to say' } } });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answers(...replies) {
      script = [...replies];
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status = 200, headers = {}, body }: ScriptedReply): void {
  if (Array.isArray(body)) {
    response.writeHead(status, { 'content-type': 'text/event-stream', ...headers });
    for (const event of body) {
      const name = (event as { type?: unknown }).type;
      const line = typeof name === 'string' ? `event: ${name}\n` : '';
      response.write(`${line}data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
    return;
  }
  const plain = typeof body === 'string' || Buffer.isBuffer(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(plain ? body : JSON.stringify(body));
}
