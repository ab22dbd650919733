import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault } from './faults.ts';
import type { JournalCall } from './journal.ts';
import { ProviderError } from './provider-error.ts';

/** One request being answered: its socket side, its journal entry and the fault it has met. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly call: JournalCall;
  /** To be called when the journal entry has changed, for those who wait on it. */
  readonly changed: () => void;
  fault: Fault | undefined;
  /** Headers on every reply of this exchange. */
  headers: Record<string, string>;
  /** The simulator itself tore the connection, so its close is not the client's doing. */
  torn: boolean;
}

export const maxBodyBytes = 32 * 1024 * 1024;
const maxHangMs = 600_000;

/** The request's whole body. Throws ProviderError 413 past 32 MiB; rejects when the client leaves before its end. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBodyBytes) chunks.push(chunk);
    });
    request.on('end', () => {
      if (bytes > maxBodyBytes) {
        reject(new ProviderError(413, `A request may have at most ${maxBodyBytes} bytes.`));
      } else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    });
    request.on('error', reject);
  });
}

/** Waits, or less when the connection closes first. */
export function pause(response: ServerResponse, milliseconds: number): Promise<void> {
  if (milliseconds <= 0 || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      response.off('close', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    response.on('close', finish);
  });
}

/** Says nothing more until the client leaves, or for ten minutes, and then drops the connection. */
export async function hang(exchange: Exchange): Promise<void> {
  await pause(exchange.response, maxHangMs);
  tear(exchange);
}

/** Drops the connection; what the kernel has taken still arrives. */
export function tear(exchange: Exchange): void {
  if (exchange.response.destroyed) return;
  exchange.torn = true;
  exchange.response.destroy();
}

/** Drops the connection with a TCP reset. */
export function resetConnection(exchange: Exchange): void {
  exchange.torn = true;
  exchange.request.socket.resetAndDestroy();
}

/** Writes to the reply and waits while the reader is slow. False once the connection is gone. */
export async function write(exchange: Exchange, text: string): Promise<boolean> {
  const { response, call } = exchange;
  if (response.destroyed) return false;
  call.replyBytes += Buffer.byteLength(text);
  if (!response.write(text)) await drained(response);
  return !response.destroyed;
}

/** Sends a whole reply with its length, unless the exchange's fault tears, stops or breaks it on the way. */
export async function sendWhole(
  exchange: Exchange,
  status: number,
  contentType: string,
  body: string,
): Promise<void> {
  const { response, call, fault } = exchange;
  if (response.destroyed) return;
  const sent = fault?.kind === 'malformed' ? brokenJson(body) : body;
  call.status = status;
  response.writeHead(status, {
    ...exchange.headers,
    'content-type': contentType,
    'content-length': Buffer.byteLength(sent),
  });
  if (fault?.kind === 'cut-mid-stream' || fault?.kind === 'hang-mid-stream') {
    await write(exchange, sent.slice(0, Math.floor(sent.length / 2)));
    await nextTurn();
    return fault.kind === 'cut-mid-stream' ? tear(exchange) : hang(exchange);
  }
  call.replyBytes += Buffer.byteLength(sent);
  response.end(sent);
}

/** Lets the event loop turn once, so that what was written reaches the kernel as a write of its own. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      response.off('drain', finish);
      response.off('close', finish);
      resolve();
    };
    response.on('drain', finish);
    response.on('close', finish);
  });
}

/** JSON that a parser must refuse: the second half is missing. */
function brokenJson(body: string): string {
  return body.slice(0, Math.floor(body.length / 2));
}
