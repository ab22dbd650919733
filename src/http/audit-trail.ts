import type { Principal } from '../access/index.ts';
import type { FastifyReply, FastifyRequest } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { AppError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { RequestContext } from '../platform/request-context.ts';

/** What the audit log is told of a refusal. */
export interface Refusal {
  /** Of the caller; null: of nobody who is known. */
  readonly tenantId: string | null;
  readonly request: string;
  readonly code: string;
  readonly detail: string;
  /** Refusals before this one that were too many to be told one by one. */
  readonly untold: number;
}

export interface AuditTrailDependencies {
  readonly context: RequestContext;
  /** Writes a refusal down; rejects when it cannot. */
  readonly noteRefusal: (refusal: Refusal) => Promise<void>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Log;
}

export interface AuditTrail {
  /** Whatever the request's handler does is done on its caller's behalf. */
  follow(request: FastifyRequest, reply: FastifyReply, done: () => void): void;
  /** Notes that a caller was refused for who they are. */
  refused(request: FastifyRequest, error: AppError): void;
}

const refusals: readonly string[] = ['unauthenticated', 'forbidden', 'tenant_suspended'];
/** Refusals told one by one: so many at once, and so many a second from then on. Guessing must not fill the database. */
const burst = 50;
const perSecond = 5;

/** Where requests meet the audit log: what they change is told there with who it was, and so is what they were refused. */
export function createAuditTrail({ context, noteRefusal, clock, log }: AuditTrailDependencies): AuditTrail {
  let room = burst;
  let filledMs = clock.monotonicMs();
  let untold = 0;

  const isRoom = (): boolean => {
    const nowMs = clock.monotonicMs();
    room = Math.min(burst, room + ((nowMs - filledMs) / 1000) * perSecond);
    filledMs = nowMs;
    if (room < 1) return false;
    room--;
    return true;
  };

  return {
    follow(request, _reply, done) {
      // Model calls change nothing but the ledger, which says itself who called.
      if (request.routeOptions.config.dialect !== undefined) return done();
      context.run(onBehalfOf(request), done);
    },
    refused(request, { code, message }) {
      if (!refusals.includes(code)) return;
      if (!isRoom()) {
        untold++;
        return;
      }
      const refusal = {
        tenantId: request.principal?.tenantId ?? null,
        request: nameOf(request),
        code,
        detail: message,
        untold,
      };
      untold = 0;
      context
        .run(onBehalfOf(request), () => noteRefusal(refusal))
        .catch((error) => log.error({ err: error }, 'a refusal is missing from the audit log'));
    },
  };
}

function onBehalfOf(request: FastifyRequest): string {
  const { correlationId, clientNetwork } = request;
  return JSON.stringify({
    actor: actorOf(request.principal as Principal | null),
    ip: clientNetwork,
    correlation_id: correlationId,
    request: nameOf(request),
  });
}

function actorOf(principal: Principal | null) {
  if (principal === null) return { kind: 'stranger' };
  const { keyId, userId, role, vouchedBy } = principal;
  return userId === null
    ? { kind: 'key', id: keyId, role }
    : { kind: 'user', id: userId, key_id: keyId, role, ...vouchedBy };
}

/** The route, not the address: what stands in addresses may be anything. */
function nameOf(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? 'nowhere'}`;
}
