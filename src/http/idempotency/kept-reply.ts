import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';

/** A reply as it is sent again. */
export interface KeptReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null: it was larger than what is kept, or a stream. */
  readonly body: Buffer | null;
}

/** Bytes of a body that are kept. */
const maxKeptBytes = 1024 * 1024;

/** What of a reply's headers is said again; the others are about the one request that they answered. */
const keptHeaders = [
  'content-type',
  'content-disposition',
  'deprecation',
  'etag',
  'link',
  'location',
  'request-id',
  'sunset',
  'x-api-version',
  'x-document-version',
  'x-gatehouse-generated-by',
];

/** Replies below 500 that say nothing of what the request did: the same request may fare better. */
const unkeptStatuses: readonly number[] = [401, 402, 403, 408, 421, 425, 429, 499];

/** Whether a reply with this status is the answer for good. */
export function isKept(status: number): boolean {
  return status < 500 && !unkeptStatuses.includes(status);
}

/** @param payload as the last hook before the socket sees it. */
export function keptReplyOf(reply: FastifyReply, payload: unknown): KeptReply {
  const headers: Record<string, string> = {};
  for (const name of keptHeaders) {
    const value = reply.getHeader(name);
    if (value !== undefined) headers[name] = String(value);
  }
  return { status: reply.statusCode, headers, body: bytesOf(payload) };
}

function bytesOf(payload: unknown): Buffer | null {
  if (payload === undefined || payload === null) return Buffer.alloc(0);
  if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) return null;
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : Buffer.from(payload);
  return bytes.length > maxKeptBytes ? null : bytes;
}

/** @param place whose reply it is: with the tenant, to whom it is sealed, what tells its row from all others. */
export function writeKept({ status, headers, body }: KeptReply, place: ReplyPlace): string {
  return JSON.stringify({ of: nameOf(place), status, headers, body: body?.toString('base64') ?? null });
}

/** @throws AppError `dependency_down` for a reply of another place: it stands where somebody moved it. */
export function readKept(text: string, place: ReplyPlace): KeptReply {
  const { of, status, headers, body } = JSON.parse(text) as {
    of?: string;
    status: number;
    headers: Record<string, string>;
    body: string | null;
  };
  if (of !== nameOf(place)) {
    const detail =
      'The answer that was kept for this Idempotency-Key cannot be used. Send the request with another.';
    throw new AppError('dependency_down', detail, { cause: new Error('a kept reply was moved') });
  }
  return { status, headers, body: body === null ? null : Buffer.from(body, 'base64') };
}

interface ReplyPlace {
  readonly caller: string;
  readonly key: string;
}

/** A list, so that no two places have one name. */
function nameOf({ caller, key }: ReplyPlace): string {
  return JSON.stringify([caller, key]);
}

/** @throws AppError `invalid` when the reply was too large to be kept. */
export function replay(reply: FastifyReply, { status, headers, body }: KeptReply): void {
  if (body === null) {
    throw new AppError(
      'invalid',
      `A request with this Idempotency-Key was answered with ${status}, and the answer was too large to be kept. Look at what it did; for more, use another key.`,
      { errors: [{ path: 'Idempotency-Key', message: 'its answer was too large to be kept' }] },
    );
  }
  reply.code(status).headers(headers).header('idempotency-replayed', 'true');
  reply.send(body.length === 0 ? undefined : body);
}

/** SHA-256 of method, address and body, each with its length before it. */
export function requestHashOf(request: FastifyRequest): Buffer {
  const hash = createHash('sha256');
  const { body } = request;
  const content =
    body instanceof Uint8Array || typeof body === 'string' ? body : (JSON.stringify(body ?? null) ?? '');
  for (const part of [request.method, request.url, content]) {
    hash.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  return hash.digest();
}

/** Whether the answer will come as a stream: by what the body or the header says. */
export function asksForStream(request: FastifyRequest): boolean {
  if ((request.headers.accept ?? '').includes('text/event-stream')) return true;
  const { body } = request;
  try {
    const read = body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString('utf8')) : body;
    return typeof read === 'object' && read !== null && (read as { stream?: unknown }).stream === true;
  } catch {
    // The route says what is wrong with it.
    return false;
  }
}
