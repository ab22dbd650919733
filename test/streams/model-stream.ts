import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type Dialect, StreamedText } from './dialects.ts';

/** What a stream is asked for. */
export interface StreamAsk {
  /** Origin. */
  readonly url: string;
  readonly key: string;
  readonly dialect: Dialect;
  /** `provider/model`, or the name of a route. */
  readonly model: string;
  readonly content: string;
  readonly maxTokens: number;
  /** By which journal and ledger name the call. */
  readonly correlationId: string;
  /** Whether the text is wanted in the end, not only that all of it can be read. */
  readonly keepsText: boolean;
}

/**
 * A client of one stream that decides itself when it reads: what it does not read stays with the sender. Every client
 * has a connection of its own, as they have in life.
 */
export class ModelStream {
  readonly ask: StreamAsk;
  readonly said: StreamedText;
  status = 0;
  headers: IncomingMessage['headers'] = {};
  bytes = 0;
  /** The body of a reply that is no stream. */
  body = '';
  /** What was wrong with the stream, where a client could not have read it. */
  fault: unknown = null;
  /** Resolves when nothing more comes: `whole` when the server ended its reply as HTTP wants it. */
  readonly over: Promise<'whole' | 'broken'>;
  readonly #request: ClientRequest;
  #response: IncomingMessage | null = null;
  #isOver = false;
  readonly #waiting = new Set<() => void>();

  constructor(ask: StreamAsk) {
    this.ask = ask;
    this.said = new StreamedText(ask.dialect, ask.keepsText);
    const { path, body } = ask.dialect.request(ask.model, ask.content, ask.maxTokens);
    const sent = request(ask.url + path, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${ask.key}`,
        'content-type': 'application/json',
        'x-correlation-id': ask.correlationId,
      },
    });
    this.#request = sent;
    this.over = new Promise((resolve) => {
      const end = (how: 'whole' | 'broken') => {
        this.#isOver = true;
        resolve(how);
        this.#tell();
      };
      sent.on('error', () => end('broken'));
      sent.on('response', (response) => {
        this.#response = response;
        this.status = response.statusCode ?? 0;
        this.headers = response.headers;
        response.on('data', (chunk: Buffer) => this.#take(chunk));
        response.on('error', () => {});
        response.on('close', () => end(response.complete ? 'whole' : 'broken'));
        this.#tell();
      });
    });
    sent.end(JSON.stringify({ ...body, stream: true }));
  }

  /** Reads no more until `goOn`. */
  stall(): void {
    this.#response?.pause();
  }

  goOn(): void {
    this.#response?.resume();
  }

  /** Closes the connection. @returns when, in milliseconds since 1970. */
  leave(): number {
    const now = Date.now();
    this.#request.destroy();
    return now;
  }

  /** Resolves once it is so. @throws Error when the stream is over before. */
  until(isSo: (stream: this) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (isSo(this)) resolve();
        else if (this.#isOver)
          reject(new Error(`it ended before, with ${this.status}: ${this.body}`, { cause: this.fault }));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    try {
      if (String(this.headers['content-type']).startsWith('text/event-stream')) this.said.push(chunk);
      else this.body += chunk.toString();
    } catch (error) {
      this.fault ??= error;
      this.#request.destroy();
    }
    this.#tell();
  }

  #tell(): void {
    for (const look of this.#waiting) look();
  }
}
