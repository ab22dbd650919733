import { connect, type Socket } from 'node:net';
import { createFirstToken } from './first-token.ts';
import { createResponseReader } from './response-reader.ts';

/**
 * A raw keep-alive connection for the load generators, one request at a time. A general HTTP client costs several times
 * as much for a request, and here the client shares a core with the simulated provider.
 */
export interface Connection {
  /** Sends a prepared request. Its bytes must not change before the reply has ended. */
  send(request: Buffer): void;
  /** The last bytes received: of a short reply all, of a long one its end. */
  lastBytes(): Buffer;
  close(): void;
}

export interface ConnectionEvents {
  /** The first text that a model wrote has come. */
  readonly firstToken: () => void;
  /** The reply to what was sent is whole. */
  readonly ended: (status: number) => void;
  /** The connection broke, whether or not a reply was awaited; nothing more comes. */
  readonly broke: (waiting: boolean) => void;
}

/**
 * Opens a connection.
 * @param url origin, such as `http://127.0.0.1:8080`.
 * @throws Error when nobody listens there.
 */
export function openConnection(url: string, events: ConnectionEvents): Promise<Connection> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let waiting = false;
    let closed = false;
    let last: Buffer = Buffer.alloc(0);
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const token = createFirstToken();
    const reader = createResponseReader({
      body(bytes, from, to) {
        if (token.comesWith(bytes, from, to)) events.firstToken();
      },
      ended(status) {
        waiting = false;
        events.ended(status);
      },
    });
    const connection: Connection = {
      send(request) {
        waiting = true;
        token.reset();
        socket.write(request);
      },
      lastBytes: () => last,
      close() {
        closed = true;
        socket.destroy();
      },
    };
    socket.on('data', (bytes: Buffer) => {
      last = bytes;
      reader.push(bytes);
    });
    socket.once('connect', () => resolve(connection));
    socket.on('error', reject);
    socket.once('close', () => {
      if (!closed) events.broke(waiting);
    });
  });
}

/** A whole request as bytes, to be sent again and again. */
export function requestBytes(request: {
  readonly method: 'GET' | 'POST';
  /** Origin; only its host is used. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}): Buffer {
  const { method, url, path, headers, body } = request;
  const type = body === undefined ? [] : [['content-type', 'application/json']];
  const length = body === undefined ? [] : [['content-length', String(Buffer.byteLength(body))]];
  const lines = [['host', new URL(url).host], ...type, ...length, ...Object.entries(headers)];
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n${body ?? ''}`);
}
