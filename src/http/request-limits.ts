import type { Principal } from '../access/index.ts';
import type { Counters, Decision, Demand, LimitedRequest, LimitGate, RouteLimits } from '../limits/index.ts';
import type { FastifyReply, FastifyRequest } from '../platform/api.ts';
import type { NewId } from '../platform/ids.ts';

export interface RequestLimitsDependencies {
  readonly gate: Omit<LimitGate, 'demandsOfCall'>;
  readonly counters: Pick<Counters, 'admit' | 'settle'>;
  readonly newId: NewId;
  /** What a route's work weighs (LIM-2). */
  readonly weightOf: (work: NonNullable<Exclude<RouteLimits, { exempt: string }>['work']>) => number;
}

/**
 * Limits of requests over HTTP. Each request is counted once: where its caller is known, where it shows no valid
 * credential, or in the reserve step of the model call that it is.
 * All of these decide at once, unless counters are on Redis, and throw AppError `rate_limited`; what limits say goes into
 * the reply's headers either way.
 */
export interface RequestLimits {
  /** A request of a known caller, which is no model call. */
  ofCaller(request: FastifyRequest, reply: FastifyReply, caller: Principal): void | Promise<void>;
  /** A request that shows no valid credential, by its address. */
  ofStranger(request: FastifyRequest, reply: FastifyReply): void | Promise<void>;
  /** A model call that has failed before its reserve step: it was a request even so. */
  ofFailedCall(request: FastifyRequest, reply: FastifyReply): void | Promise<void>;
}

export function createRequestLimits(deps: RequestLimitsDependencies): RequestLimits {
  const { gate, counters, newId } = deps;

  const decide = (
    request: FastifyRequest,
    reply: FastifyReply,
    group: string,
    demands: readonly Demand[],
    holding: boolean,
  ): void | Promise<void> => {
    request.limitsDecided = true;
    if (demands.length === 0) return;
    const id = newId();
    const ended = holding ? settleAtEnd(reply, group, id) : null;
    const take = (decision: Decision): void => {
      if (decision.outcome === 'unknown') throw new Error('requests have no budgets');
      reply.headers(gate.headers(demands, decision.states));
      if (decision.outcome === 'admitted') {
        if (decision.holds) ended?.held();
        return;
      }
      const demand = demands[decision.exhausted];
      if (!demand) throw new Error('a refusal that names no demand');
      throw gate.refusal(demand, decision);
    };
    const decision = counters.admit({ group, id, demands });
    return decision instanceof Promise ? decision.then(take) : take(decision);
  };

  /** The reply may have ended before Redis has answered. */
  const settleAtEnd = (reply: FastifyReply, group: string, id: string) => {
    let over = false;
    let held = false;
    const settle = () => {
      if (over && held) counters.settle(group, id, nothingUsed);
    };
    reply.raw.once('close', () => {
      over = true;
      settle();
    });
    return {
      held(): void {
        held = true;
        settle();
      },
    };
  };

  const limitedAs = (request: FastifyRequest, principal: Principal): LimitedRequest => {
    const work = declaredOf(request)?.work;
    return { principal, ip: request.clientNetwork, weight: work === undefined ? 1 : deps.weightOf(work) };
  };

  return {
    ofCaller(request, reply, caller) {
      const limited = limitedAs(request, caller);
      const isQuery = declaredOf(request)?.as === 'query';
      const demands = isQuery ? gate.demandsOfQuery(limited) : gate.demandsOfRequest(limited);
      return decide(request, reply, caller.tenantId, demands, isQuery);
    },
    ofStranger(request, reply) {
      const { clientNetwork } = request;
      return decide(request, reply, `ip:${clientNetwork}`, gate.demandsOfStranger(clientNetwork), false);
    },
    ofFailedCall(request, reply) {
      const { principal } = request;
      if (request.limitsDecided || principal === null || declaredOf(request)?.as !== 'call') return;
      return decide(
        request,
        reply,
        principal.tenantId,
        gate.demandsOfRequest(limitedAs(request, principal)),
        false,
      );
    },
  };
}

function declaredOf(request: FastifyRequest) {
  const { limits } = request.routeOptions.config;
  return limits === undefined || 'exempt' in limits ? undefined : limits;
}

const nothingUsed: ReadonlyMap<string, number> = new Map();
