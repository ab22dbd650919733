import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Access, Principal } from '../access/index.ts';
import { AppError } from '../platform/errors.ts';

/**
 * The first thing that happens to a request: who is calling, and does the route's declared permission allow it. A warm
 * key is settled synchronously; only an unknown one waits for the database.
 */
export function authenticationHook(access: Pick<Access, 'authenticate'>) {
  return (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    const declared = request.routeOptions.config.access;
    // No route matched: the 404 handler answers, and tells a stranger nothing.
    if (declared === undefined || 'public' in declared) return done();
    const permission = declared.permission;
    const admit = (principal: Principal) => {
      if (!principal.permissions.has(permission)) {
        return done(
          new AppError('forbidden', `This needs the permission ${permission}, which this key does not have.`),
        );
      }
      request.principal = principal;
      done();
    };
    try {
      const outcome = access.authenticate(presentedKey(request), oneHeader(request.headers['x-tenant-id']));
      if (outcome instanceof Promise) outcome.then(admit, done);
      else admit(outcome);
    } catch (error) {
      done(error as Error);
    }
  };
}

function presentedKey(request: FastifyRequest): string | undefined {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ');
    if (authorization.slice(0, space).toLowerCase() !== 'bearer') return undefined;
    return authorization.slice(space + 1).trim();
  }
  return oneHeader(request.headers['x-api-key']);
}

function oneHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
