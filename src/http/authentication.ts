import {
  type Access,
  type People,
  type Principal,
  refuseForeignAddress,
  requirePermission,
} from '../access/index.ts';
import type { FastifyReply, FastifyRequest } from '../platform/api.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import type { RequestLimits } from './request-limits.ts';

/** Who callers are. Without `authenticateSession`, cookies say nothing. */
export type Authenticating = Pick<Access, 'authenticate'> & Partial<Pick<People, 'authenticateSession'>>;

/**
 * The first thing that happens to a request: who is calling, do limits have room for it, and does the route's declared
 * permission allow it. A warm key is settled synchronously; only an unknown one waits for the database.
 *
 * Whoever shows no valid credential counts by address, and beyond that limit is refused before a credential is looked for
 * in the database, so that guessing is slow. A key that is known here is told before: it is not held up by what others
 * behind the same address do.
 */
export function authenticationHook(access: Authenticating, limits: RequestLimits) {
  const authenticate = (request: FastifyRequest, reply: FastifyReply): Principal | Promise<Principal> => {
    const key = presentedKey(request);
    const tenant = oneHeader(request.headers['x-tenant-id']);
    const beforeLookUp = () => limits.ofStranger(request, reply);
    // A key that was sent counts; a cookie comes along by itself.
    const session =
      key === undefined && request.headers.authorization === undefined
        ? access.authenticateSession?.(request, tenant, beforeLookUp)
        : undefined;
    return session ?? access.authenticate(key, tenant, beforeLookUp);
  };

  /** @returns who calls; in place of a credential's failure comes the limit's refusal, when that is reached. */
  const callerOf = (request: FastifyRequest, reply: FastifyReply): Principal | Promise<Principal> => {
    try {
      const caller = authenticate(request, reply);
      return caller instanceof Promise ? caller.catch((error) => failed(request, reply, error)) : caller;
    } catch (error) {
      return failed(request, reply, error);
    }
  };

  const failed = (request: FastifyRequest, reply: FastifyReply, error: unknown): never | Promise<never> => {
    const counting = isStrangers(error) && !request.limitsDecided ? limits.ofStranger(request, reply) : null;
    if (!(counting instanceof Promise)) throw error;
    return counting.then(() => {
      throw error;
    });
  };

  /** Where nothing is: a key that is one counts as such, and whatever else is no reason for another answer than 404. */
  const lost = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (presentedKey(request) === undefined && request.headers.cookie === undefined)
      return limits.ofStranger(request, reply);
    try {
      await admit(request, reply, await callerOf(request, reply));
    } catch (error) {
      if (!isStrangers(error)) throw error;
    }
  };

  const admit = (request: FastifyRequest, reply: FastifyReply, caller: Principal): void | Promise<void> => {
    const { access: declared, limits: limited } = request.routeOptions.config;
    request.principal = caller;
    refuseForeignAddress(caller, request.clientAddress);
    const permit = () => {
      if (declared === undefined || 'public' in declared) return;
      requirePermission(caller, declared.permission);
    };
    // A model call is counted where all else about it is decided.
    if (limited !== undefined && ('exempt' in limited || limited.as === 'call')) return permit();
    const counting = limits.ofCaller(request, reply, caller);
    return counting instanceof Promise ? counting.then(permit) : permit();
  };

  const begin = (request: FastifyRequest, reply: FastifyReply): void | Promise<void> => {
    const { access: declared, limits: limited } = request.routeOptions.config;
    if (declared === undefined) return lost(request, reply);
    if ('public' in declared) {
      return limited !== undefined && 'exempt' in limited ? undefined : limits.ofStranger(request, reply);
    }
    const caller = callerOf(request, reply);
    return caller instanceof Promise
      ? caller.then((found) => admit(request, reply, found))
      : admit(request, reply, caller);
  };

  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    try {
      const started = begin(request, reply);
      if (started instanceof Promise) started.then(() => done(), done);
      else done();
    } catch (error) {
      done(error as Error);
    }
  };
}

const strangersErrors: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'tenant_suspended',
  'not_found',
];

/** What speaks against the credential or its use, and not of our own troubles. */
function isStrangers(error: unknown): boolean {
  return error instanceof AppError && strangersErrors.includes(error.code);
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
