import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import multipart from '@fastify/multipart';
import type { Principal, RouteAccess } from '../access/index.ts';
import type { RouteLimits } from '../limits/index.ts';
import type { Api, FastifyReply, FastifyRequest, Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { type Log, withoutRedaction } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import { type NoteReading, noteReadingsOf } from './audit-reads.ts';
import type { AuditTrail } from './audit-trail.ts';
import { type Authenticating, authenticationHook } from './authentication.ts';
import { createClientAddress } from './client-address.ts';
import { buildServer, type ConnectionLimits, connectionLimits, refuseManyHeaders } from './connections.ts';
import { correlationIdOf, traceparentOf } from './correlation.ts';
import { createCors } from './cors.ts';
import { sendError } from './error-reply.ts';
import { errorTable } from './error-table.ts';
import type { Idempotency } from './idempotency/index.ts';
import { type Overload, priorityOf } from './overload.ts';
import { portProblem } from './port-problem.ts';
import { documentation, entranceRoute, offerReference } from './reference.ts';
import { createRequestLimits, type RequestLimitsDependencies } from './request-limits.ts';
import { createRequestMetrics } from './request-metrics.ts';
import { referencePolicy, securityHeaders } from './security-headers.ts';
import { readTls, type TlsFiles, watchTls } from './tls.ts';
import { documentRoutes, versionListRoutes } from './versioning.routes.ts';
import { createVersioning } from './versioning.ts';
import type { ApiVersion } from './versions.ts';

export interface HttpDependencies {
  readonly access: Authenticating;
  readonly limits: Omit<RequestLimitsDependencies, 'newId'>;
  /** Addresses and ranges of proxies whose word on their clients counts; none when absent. */
  readonly trustedProxies?: readonly string[];
  /** Origins whose pages may call this server; none when absent. */
  readonly corsOrigins?: readonly string[];
  /** Absent: plain HTTP, for a proxy or callers on this machine. */
  readonly tls?: TlsFiles;
  /** Whether a proxy in front ends TLS. */
  readonly behindTls?: boolean;
  /** Default: `connectionLimits`. */
  readonly connections?: Partial<ConnectionLimits>;
  /** Absent: everything is let in, however much there is. */
  readonly overload?: Pick<Overload, 'admit'>;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly version: string;
  /** Absent: nothing is told to an audit log. */
  readonly auditTrail?: AuditTrail;
  /** Absent: readings are not noted. */
  readonly noteReading?: NoteReading;
  /** Absent: an Idempotency-Key means nothing. */
  readonly idempotency?: Pick<Idempotency, 'before' | 'after'>;
  /** Mounted under /api/v1. */
  readonly platformRoutes: readonly Routes[];
  /** What later versions have of their own: mounted under /api/v2 and so on. */
  readonly versionRoutes?: Readonly<Record<string, readonly Routes[]>>;
  /** Default: those of `versions.ts`. */
  readonly apiVersions?: readonly ApiVersion[];
  /** Mounted under /v1: the model dialects. */
  readonly modelRoutes: readonly Routes[];
  /** Mounted at the root: health and metrics. */
  readonly rootRoutes: readonly Routes[];
}

export interface DeclaredRoute {
  readonly method: string;
  readonly url: string;
  readonly access: RouteAccess;
  /** Absent: a request of weight 1. */
  readonly limits: RouteLimits | undefined;
}

export interface HttpServer {
  readonly api: Api;
  /** Every route with what it declared, for the test that walks them. */
  readonly routes: readonly DeclaredRoute[];
  /** @returns the port, which the system chose when 0 was asked for. @throws AppError when the port is taken. */
  listen(host: string, port: number): Promise<number>;
  /**
   * Waits for requests in flight at most `timeoutMs`. Then calls `lastWords`, which may end what is left so that its
   * clients can tell, and a second later cuts what is left even so.
   */
  stop(timeoutMs: number, lastWords?: () => void): Promise<void>;
}

const lastWordsMs = 1_000;
/** How often a server that stops looks for connections that have become idle. */
const idleSweepMs = 50;

/** Bodies of JSON routes (HTTP-7); a route that takes more says so itself. */
const jsonBodyLimit = 1024 * 1024;
/** One file per upload; the parser's own limits on size come after. */
const uploadLimit = 256 * 1024 * 1024;

/** Builds the server: hooks in the order in which they run, then every capability's routes. Opens no port. */
export async function createHttp(deps: HttpDependencies): Promise<HttpServer> {
  const { clock, log } = deps;
  const requestMetrics = createRequestMetrics(deps.metrics);
  const requestLimits = createRequestLimits({ ...deps.limits, newId: deps.newId });
  const clientAddress = createClientAddress(deps.trustedProxies ?? []);
  const requestLog = withoutRedaction(log);
  const versioning = createVersioning(deps.apiVersions);
  const routes: DeclaredRoute[] = [];
  const startedAt = Symbol('startedAt');

  const connections = { ...connectionLimits, ...deps.connections };
  const tls = deps.tls === undefined ? null : { files: deps.tls, pair: readTls(deps.tls) };
  const api = buildServer(connections, tls?.pair ?? null, {
    bodyLimit: jsonBodyLimit,
    genReqId: (raw) => correlationIdOf(raw.headers, deps.newId),
    rewriteUrl: versioning.rewrite,
  });
  const secure = securityHeaders(tls !== null || deps.behindTls === true);
  const { overload } = deps;
  api.decorateRequest('correlationId', '');
  api.decorateRequest('traceparent', undefined);
  api.decorateRequest('principal', null as unknown as Principal);
  api.decorateRequest('clientNetwork', '');
  api.decorateRequest('clientAddress', '');
  api.decorateRequest('limitsDecided', false);
  api.decorateRequest('heldKey', null);
  api.decorateRequest(startedAt as never, 0 as never);

  api.addHook('onRoute', (route) => {
    if (route.url.startsWith('/docs')) {
      route.config = { ...documentation, ...route.config };
      route.onSend = [route.onSend ?? [], referencePolicy].flat();
    }
    const { access, limits } = route.config ?? {};
    if (access === undefined) {
      throw new Error(`${String(route.method)} ${route.url} declares no permission (config.access).`);
    }
    const permission = 'permission' in access ? access.permission : null;
    route.config = { priority: priorityOf(route.url, permission), ...route.config };
    for (const method of [route.method].flat()) routes.push({ method, url: route.url, access, limits });
    versioning.declared(route);
    if (deps.noteReading) noteReadingsOf(route, deps.noteReading);
  });

  api.addHook('onRequest', (request, reply, done) => {
    (request as unknown as Record<symbol, number>)[startedAt] = clock.monotonicMs();
    request.correlationId = request.id;
    request.traceparent = traceparentOf(request.headers);
    const client = clientAddress(request.raw.socket, request.headers['x-forwarded-for']);
    request.clientNetwork = client.network;
    request.clientAddress = client.address;
    reply.header('x-correlation-id', request.id);
    requestMetrics.started();
    secure(request, reply);
    done();
  });
  if (deps.corsOrigins !== undefined && deps.corsOrigins.length > 0) {
    api.addHook('onRequest', createCors(deps.corsOrigins, requestLimits.ofStranger));
  }
  api.addHook('onRequest', (request, _reply, done) => {
    try {
      refuseManyHeaders(request);
      overload?.admit(request.routeOptions.config.priority);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  api.addHook('onRequest', versioning.mark);
  api.addHook('onRequest', authenticationHook(deps.access, requestLimits));
  api.addHook('onRequest', versioning.check);

  if (deps.auditTrail) api.addHook('preHandler', deps.auditTrail.follow);
  const { idempotency } = deps;
  if (idempotency) {
    api.addHook('preHandler', (request, reply, done) => {
      idempotency.before(request, reply, () => requestLimits.ofFailedCall(request, reply), done);
    });
    api.addHook('onSend', idempotency.after);
  }

  const ended = (request: FastifyRequest, status: number) => {
    const began = (request as unknown as Record<symbol, number>)[startedAt] ?? 0;
    const durationMs = clock.monotonicMs() - began;
    const { method } = request;
    // Asked for once: Fastify makes these anew each time.
    const route = request.routeOptions.url;
    requestMetrics.finished(method, route, status, durationMs / 1000);
    requestLog.info(
      {
        correlation_id: request.correlationId,
        tenant: request.principal?.tenantId,
        method,
        route,
        status,
        duration_ms: Math.round(durationMs * 100) / 100,
      },
      'request',
    );
  };
  api.addHook('onResponse', (request, reply, done) => {
    // A client that left before the answer was complete is logged as 499, whatever the status line said.
    ended(request, reply.raw.writableEnded ? reply.statusCode : errorTable.client_gone.status);
    done();
  });

  const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const known = sendError(error, request, reply);
    deps.auditTrail?.refused(request, known);
    if (errorTable[known.code].status >= 500) {
      log.error(
        { err: known.cause ?? known, code: known.code, correlation_id: request.correlationId },
        known.message,
      );
    }
  };
  api.setErrorHandler((error, request, reply) => {
    const refuse = (refusal: unknown) => answerError(refusal, request, reply);
    try {
      const counting = requestLimits.ofFailedCall(request, reply);
      if (counting instanceof Promise) counting.then(() => refuse(error), refuse);
      else refuse(error);
    } catch (refusal) {
      refuse(refusal);
    }
  });
  api.setNotFoundHandler((request, reply) => {
    sendError(
      new AppError(
        'not_found',
        `There is nothing at ${request.method} ${request.originalUrl.split('?')[0]}. See /docs.`,
      ),
      request,
      reply,
    );
  });

  await offerReference(api, deps.version, versioning);

  mount(api, '', [entranceRoute, ...deps.rootRoutes]);
  mount(api, '/v1', deps.modelRoutes);
  mount(api, '/api', [versionListRoutes(versioning)]);
  for (const { version } of versioning.versions) {
    const own = version === '1' ? deps.platformRoutes : (deps.versionRoutes?.[version] ?? []);
    mount(api, `/api/v${version}`, [documentRoutes(versioning, version), ...own], takeFiles);
  }
  await api.ready();
  let endTlsWatch = async () => {};

  return {
    api,
    routes,
    async listen(host, port) {
      try {
        await api.listen({ host, port });
      } catch (cause) {
        throw portProblem(cause, host, port);
      }
      if (tls !== null) {
        const server = api.server as unknown as TlsServer;
        endTlsWatch = watchTls(server, tls.files, tls.pair, clock, log);
      }
      return (api.server.address() as AddressInfo).port;
    },
    async stop(timeoutMs, lastWords) {
      const cut = () => api.server.closeAllConnections();
      let timer = setTimeout(() => {
        if (!lastWords) return cut();
        lastWords();
        timer = setTimeout(cut, lastWordsMs);
      }, timeoutMs);
      // Clients keep connections open for their next request; Node closes those that are idle now, not later.
      const sweep = setInterval(() => api.server.closeIdleConnections(), idleSweepMs);
      await api.close();
      await endTlsWatch();
      clearInterval(sweep);
      clearTimeout(timer);
    },
  };
}

/** Only where files are sent: what it does for every request that could be one would cost each model call, too. */
async function takeFiles(scope: Api): Promise<void> {
  await scope.register(multipart, {
    limits: { files: 1, fileSize: uploadLimit, fields: 20, fieldSize: jsonBodyLimit },
  });
}

/** @param prepare what all of these routes need and no others. */
function mount(
  api: Api,
  prefix: string,
  all: readonly Routes[],
  prepare: (scope: Api) => Promise<void> = async () => {},
): void {
  api.register(
    async (scope) => {
      await prepare(scope as unknown as Api);
      for (const routes of all) {
        // Each in its own scope, so that what one adds (a body parser, say) is not another's.
        scope.register(async (inner) => routes(inner as unknown as Api));
      }
    },
    { prefix },
  );
}
