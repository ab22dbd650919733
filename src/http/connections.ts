import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { fastify } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { Api, FastifyRequest } from '../platform/api.ts';
import { AppError } from '../platform/errors.ts';
import { takeJson } from './json-bodies.ts';
import type { TlsPair } from './tls.ts';

/** How patient the server is with those who send. Times in milliseconds. */
export interface ConnectionLimits {
  /** From the first byte of a request to the last of its headers. */
  readonly headersMs: number;
  /** From the first byte of a request to the last of its body; long enough for an upload over a slow line. */
  readonly requestMs: number;
  /** How often connections are looked at for that. */
  readonly lookEveryMs: number;
  /** Connections at once; those beyond it are closed at once. */
  readonly connections: number;
}

export const connectionLimits: ConnectionLimits = {
  headersMs: 30_000,
  requestMs: 300_000,
  lookEveryMs: 5_000,
  connections: 10_000,
};

/** Request line and headers together, in bytes. */
const maxHeaderBytes = 16 * 1024;
/** More header lines than this no client sends in good faith. */
const maxHeaderLines = 100;

export interface ServerSettings {
  /** Bytes, where a route says nothing else. */
  readonly bodyLimit: number;
  genReqId(raw: IncomingMessage): string;
  rewriteUrl(raw: IncomingMessage): string;
}

/**
 * The bare server. Node's parser, strict as it is by default, refuses what a proxy before it could have read otherwise: a
 * length beside chunks, two lengths, broken chunk sizes. @param tls null: plain HTTP.
 */
export function buildServer(limits: ConnectionLimits, tls: TlsPair | null, settings: ServerSettings): Api {
  const node = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.lookEveryMs,
    insecureHTTPParser: false,
  };
  const options = {
    ...settings,
    logger: false as const,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: 75_000,
    routerOptions: { maxParamLength: 500 },
    return503OnClosing: true,
    clientErrorHandler: answerUnreadable,
  };
  const built =
    tls === null ? fastify({ ...options, http: node }) : fastify({ ...options, https: { ...node, ...tls } });
  const api = built as unknown as Api;
  api.server.maxConnections = limits.connections;
  // Node would leave out what is beyond, unsaid; we refuse it.
  api.server.maxHeadersCount = 0;
  api.setValidatorCompiler(validatorCompiler);
  api.setSerializerCompiler(serializerCompiler);
  takeJson(api);
  return api;
}

/** @throws AppError `bad_request` when there are too many header lines. */
export function refuseManyHeaders(request: FastifyRequest): void {
  if (request.raw.rawHeaders.length <= 2 * maxHeaderLines) return;
  throw new AppError('bad_request', `The request has more than ${maxHeaderLines} header lines.`);
}

/** Requests that Node could not even parse, or that took too long to arrive, reach no hook. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writable && !socket.destroyed && error.code !== 'ECONNRESET') {
    socket.end(`HTTP/1.1 ${statusOf(error.code)}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
  // Whoever sends on is not listened to.
  socket.once('finish', () => socket.destroy());
}

function statusOf(code: string | undefined): string {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return '431 Request Header Fields Too Large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return '408 Request Timeout';
    default:
      return '400 Bad Request';
  }
}
