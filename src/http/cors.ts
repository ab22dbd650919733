import type { FastifyReply, FastifyRequest } from '../platform/api.ts';

/** How long a browser remembers what it was allowed. */
const maxAgeSeconds = '600';
const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const requestHeaders = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'Traceparent',
  'X-API-Key',
  'X-API-Version',
  'X-Correlation-ID',
  'X-CSRF-Token',
  'X-Tenant-Id',
].join(', ');
const replyHeaders = [
  'Deprecation',
  'Idempotency-Replayed',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Sunset',
  'X-API-Version',
  'X-Correlation-ID',
  'X-Gatehouse-Generated-By',
].join(', ');

/**
 * Lets pages of the listed origins call this server (HTTP-7), with cookies and all: so it is always that one origin which
 * is named in the reply, and never all. Pages of other origins get no word, and their browsers keep the replies from them.
 * @param origins as browsers write them, such as `https://console.example.com`.
 * @param count counts a preflight, which shows no credential; throws when there were too many.
 * @returns whether the request was a preflight, and is answered.
 */
export function createCors(
  origins: readonly string[],
  count: (request: FastifyRequest, reply: FastifyReply) => void | Promise<void>,
) {
  const allowed = new Set(origins);
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    const { origin } = request.headers;
    // What caches on the way keep for one origin is not another's.
    reply.header('vary', 'Origin');
    if (origin === undefined || !allowed.has(origin)) return done();
    reply.headers({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': replyHeaders,
    });
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) {
      return done();
    }
    const allow = () => {
      reply.headers({
        'access-control-allow-methods': methods,
        'access-control-allow-headers': requestHeaders,
        'access-control-max-age': maxAgeSeconds,
      });
      reply.code(204).send();
    };
    try {
      const counting = count(request, reply);
      if (counting instanceof Promise) counting.then(allow).catch(done);
      else allow();
    } catch (error) {
      done(error as Error);
    }
  };
}
