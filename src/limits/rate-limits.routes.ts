import { z } from 'zod';
import type { Principal } from '../access/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import type { Counters, Demand, DemandState } from './counters/counters.ts';

/** A limit that a caller meets, for showing. */
export interface ShownLimit {
  readonly name: string;
  readonly scope: string;
  /** Whom it counts: an address, a key's or user's id, a tenant's slug, a route's or model's name. */
  readonly subject: string;
  /** Null: as often as wanted. */
  readonly limit: number | null;
  /** Seconds; null for what is limited at a time. */
  readonly windowSeconds: number | null;
  /** Where the figure comes from. */
  readonly source: string;
  /** Its counter; null when it is unlimited. */
  readonly demand: Demand | null;
}

export interface RateLimitsDependencies {
  /** Every limit that a caller meets, of this address, in order of precedence. */
  readonly limitsOf: (principal: Principal, ip: string) => readonly ShownLimit[];
  readonly counters: Pick<Counters, 'peek'>;
  readonly now: () => Date;
}

/** What is left of the caller's limits: looking takes nothing of them but the request itself. */
export function rateLimitsRoutes({ limitsOf, counters, now }: RateLimitsDependencies): Routes {
  return (api) => {
    api.get(
      '/rate-limits',
      {
        config: { access: { permission: 'limits:read' } },
        schema: {
          tags: ['Limits'],
          summary: 'Show each limit that you meet: how much it allows, how much is left, when it starts anew',
          response: { 200: rateLimitsView, ...problemResponses },
        },
      },
      async (request) => {
        const { principal, clientNetwork } = request;
        const limits = limitsOf(principal, clientNetwork);
        const demands = limits.flatMap(({ demand }) => (demand === null ? [] : [demand]));
        const states = await counters.peek(principal.tenantId, demands);
        const stateOf = new Map(demands.map((demand, at) => [demand, states[at]]));
        const nowMs = now().getTime();
        return {
          tier: principal.tenant.tier,
          limits: limits.map((limit) =>
            show(limit, limit.demand && (stateOf.get(limit.demand) ?? null), nowMs),
          ),
        };
      },
    );
  };
}

function show(shown: ShownLimit, state: DemandState | null, nowMs: number) {
  const { name, scope, subject, limit, windowSeconds, source } = shown;
  return {
    name,
    scope,
    subject,
    limit,
    remaining: state?.remaining ?? null,
    reset_seconds: state === null ? null : Math.ceil(state.resetMs / 1_000),
    resets_at: state === null ? null : new Date(nowMs + state.resetMs).toISOString(),
    window_seconds: windowSeconds,
    source,
  };
}

const rateLimitsView = z.object({
  tier: z.string(),
  limits: z
    .array(
      z.object({
        name: z.string(),
        scope: z.string().describe('Whom it counts: ip, user, key, tenant, route or model'),
        subject: z.string(),
        limit: z.number().nullable().describe('Null: unlimited'),
        remaining: z.number().nullable(),
        reset_seconds: z
          .number()
          .int()
          .nullable()
          .describe('Until it is as if unused: full, or the window ended; 0 for what is limited at a time'),
        resets_at: z.string().nullable(),
        window_seconds: z.number().nullable().describe('Null for what is limited at a time'),
        source: z.string().describe('Where the figure comes from: the tier, an override, a rule'),
      }),
    )
    .describe('In the order in which they are asked: a refusal names the first that has no room'),
});
