import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import { type Counters, type Demand, type DemandState, demandsAtMost } from './counters/counters.ts';
import type { Limits } from './limits.service.ts';
import { type ShownLimit, shownLimits } from './shown-limits.ts';

export interface RateLimitsDependencies {
  readonly limits: Pick<Limits, 'gate' | 'figuresOf' | 'rules'>;
  readonly counters: Pick<Counters, 'peek'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** What is left of the caller's limits. Looking takes nothing but the request that it is. */
export function rateLimitsRoutes({ limits, counters, clock }: RateLimitsDependencies): Routes {
  /** @returns what stands where, by demand. */
  const look = async (group: string, demands: readonly Demand[]): Promise<Map<Demand, DemandState>> => {
    const found = new Map<Demand, DemandState>();
    for (let from = 0; from < demands.length; from += demandsAtMost) {
      const some = demands.slice(from, from + demandsAtMost);
      const states = await counters.peek(group, some);
      some.forEach((demand, at) => {
        const state = states[at];
        if (state) found.set(demand, state);
      });
    }
    return found;
  };

  return (api) => {
    api.get(
      '/rate-limits',
      {
        config: { access: { permission: 'limits:read' } },
        schema: {
          tags: ['Limits'],
          summary: 'Show each limit that you meet: what it allows, how much is left, when it starts anew',
          response: { 200: rateLimitsView, ...problemResponses },
        },
      },
      async (request) => {
        const { principal, clientNetwork } = request;
        const nowMs = clock.now().getTime();
        const shown = await shownLimits(limits, principal, clientNetwork, nowMs);
        const demands = shown.flatMap(({ demand }) => demand ?? []);
        const states = await look(principal.tenantId, demands);
        const { slug, tier } = principal.tenant;
        return {
          tenant: slug,
          tier,
          limits: shown.map((limit) =>
            show(limit, limit.demand && (states.get(limit.demand) ?? null), nowMs),
          ),
        };
      },
    );
  };
}

function show(shown: ShownLimit, state: DemandState | null, nowMs: number) {
  const { limit, scope, subject, value, quota, windowSeconds, source } = shown;
  return {
    limit,
    scope,
    subject,
    value,
    quota,
    window_seconds: windowSeconds,
    remaining: state?.remaining ?? null,
    reset_seconds: state && Math.ceil(state.resetMs / 1_000),
    resets_at: state && new Date(nowMs + state.resetMs).toISOString(),
    source,
  };
}

const rateLimitsView = z.object({
  tenant: z.string(),
  tier: z.string(),
  limits: z
    .array(
      z.object({
        limit: z.string().describe('The name of the figure, as it is set'),
        scope: z.string().describe('Whom it counts: ip, user, key, tenant, route or model'),
        subject: z.string().nullable().describe('Null: the tenant; *: each one of its own'),
        value: z.number().nullable().describe('Null: unlimited'),
        quota: z.number().nullable().describe('What is there when nothing is used; of a rate, its burst'),
        window_seconds: z.number().nullable().describe('Null for what is limited at a time'),
        remaining: z.number().nullable(),
        reset_seconds: z
          .number()
          .int()
          .nullable()
          .describe('Until it is as if unused; 0 for what is limited at a time'),
        resets_at: z.string().nullable(),
        source: z.enum(['tier', 'override', 'rule']),
      }),
    )
    .describe('In the order in which they are asked: a refusal names the first that has no room'),
});
