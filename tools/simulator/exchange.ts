import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault } from './faults.ts';
import type { JournalCall } from './journal.ts';
import { spoiledMark } from './model-call.ts';
import { ProviderError } from './provider-error.ts';
import type { RateLimitReading } from './rate-limits.ts';

/** One request being answered: its socket side, its journal entry and the fault it has met. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly call: JournalCall;
  /** To be called when the journal entry has changed, for those who wait on it. */
  readonly changed: () => void;
  /** The key that came, as it came. */
  key: string | undefined;
  /** What a rate limit leaves, in the provider's own headers. */
  readonly limitHeaders: (reading: RateLimitReading, now: number) => Record<string, string>;
  fault: Fault | undefined;
  /** Headers on every reply of this exchange. */
  headers: Record<string, string>;
  /** The simulator itself breaks the reply off, so its end is not the client's doing. */
  broken: boolean;
}

const maxBodyBytes = 32 * 1024 * 1024;
const maxHangMs = 600_000;

/** The request's whole body. Throws ProviderError past 32 MiB; rejects when the client leaves before its end. */
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
        reject(new ProviderError('too-large', `A request may have at most ${maxBodyBytes} bytes.`));
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
  exchange.broken = true;
  exchange.response.destroy();
}

/** Drops the connection with a TCP reset. */
export function resetConnection(exchange: Exchange): void {
  if (exchange.response.destroyed) return;
  exchange.broken = true;
  exchange.request.socket.resetAndDestroy();
}

/** Says that nothing more will come, and leaves the other half of the connection open until the client closes it. */
export async function closeOwnHalf(exchange: Exchange): Promise<void> {
  if (exchange.response.destroyed) return;
  exchange.broken = true;
  exchange.request.socket.end();
  await hang(exchange);
}

/** Writes to the reply and waits while the reader is slow. False once the connection is gone. */
export async function write(exchange: Exchange, data: string | Buffer): Promise<boolean> {
  const { response, call } = exchange;
  if (response.destroyed) return false;
  const bytes = bytesOf(data);
  call.replyBytes += bytes.length;
  if (!response.write(bytes)) await drained(response);
  return !response.destroyed;
}

/** UTF-8, but for the mark of a spoiled text, in whose place come three bytes that no UTF-8 text has. */
export function bytesOf(data: string | Buffer): Buffer {
  if (typeof data !== 'string') return data;
  const bytes = Buffer.from(data);
  if (!data.includes(spoiledMark)) return bytes;
  for (let at = bytes.indexOf(spoiledMark); at >= 0; at = bytes.indexOf(spoiledMark, at)) {
    bytes.set([0xff, 0xfe, 0xc0], at);
  }
  return bytes;
}

/** Lets the event loop turn once, so that what was written reaches the kernel as a write of its own. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function drained(response: ServerResponse): Promise<void> {
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
