import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Availability, CheckState, Health } from './health.ts';

const liveView = z.object({ status: z.literal('ok') });
const readyView = z.object({ status: z.enum(['ready', 'not_ready']), failing: z.array(z.string()) });

/** For load balancers, orchestrators and Prometheus, which carry no key. */
export function healthRoutes(health: Health, metrics: Metrics): Routes {
  return (api) => {
    api.get(
      '/health/live',
      {
        config: {
          access: { public: 'An orchestrator asks without a key; it learns only that the process runs.' },
          limits: { exempt: 'Who refuses a probe is taken for dead.' },
        },
        schema: { tags: ['Health'], summary: 'Whether the process runs', response: { 200: liveView } },
      },
      async () => ({ status: 'ok' as const }),
    );
    api.get(
      '/health/ready',
      {
        config: {
          access: { public: 'A load balancer asks without a key; it learns only which check fails.' },
          limits: { exempt: 'Who refuses a probe is taken for dead.' },
        },
        schema: {
          tags: ['Health'],
          summary: 'Whether requests should be sent here',
          response: { 200: readyView, 503: readyView },
        },
      },
      async (_request, reply) => {
        const failing = await health.failing();
        return reply
          .code(failing.length === 0 ? 200 : 503)
          .send({ status: failing.length === 0 ? 'ready' : 'not_ready', failing });
      },
    );
    api.get(
      '/metrics',
      {
        config: {
          access: { public: 'Prometheus scrapes without a key; the numbers name no tenant and no person.' },
          limits: { exempt: 'What happens under pressure must be seen.' },
        },
        schema: { hide: true },
      },
      async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()),
    );
  };
}

const windowView = z.object({
  availability: z.number().nullable().describe('Share of samples that were ok, from 0 to 1'),
  samples: z.number().int(),
  latency_ms_max: z.number().nullable(),
});

const detailedView = z.object({
  status: z.enum(['ok', 'degraded', 'failing']),
  version: z.string(),
  checks: z.array(
    z.object({
      name: z.string(),
      essential: z.boolean(),
      status: z.enum(['ok', 'failing']),
      latency_ms: z.number(),
      version: z.string().nullable(),
      detail: z.string().nullable(),
      checked_at: z.string(),
      last_error: z.object({ at: z.string(), message: z.string() }).nullable(),
      history: z.object({ '24h': windowView, '7d': windowView, '30d': windowView }),
    }),
  ),
});

export function healthDetailRoutes(health: Health, version: string): Routes {
  return (api) => {
    api.get(
      '/health/detailed',
      {
        config: { access: { permission: 'health:read' } },
        schema: {
          tags: ['Health'],
          summary: 'Every dependency with latency, version, last error and history',
          response: { 200: detailedView, ...problemResponses },
        },
      },
      async () => {
        const [states, availability] = await Promise.all([health.states(), health.availability()]);
        return { status: overall(states), version, checks: states.map((state) => show(state, availability)) };
      },
    );
  };
}

function overall(states: readonly CheckState[]): 'ok' | 'degraded' | 'failing' {
  const failing = states.filter((state) => state.status === 'failing');
  if (failing.length === 0) return 'ok';
  return failing.some((state) => state.essential) ? 'failing' : 'degraded';
}

function show(state: CheckState, availability: readonly Availability[]) {
  const over = (window: Availability['window']) => {
    const found = availability.find((a) => a.checkName === state.name && a.window === window);
    return {
      availability: found && found.samples > 0 ? 1 - found.failures / found.samples : null,
      samples: found?.samples ?? 0,
      latency_ms_max: found?.latencyMsMax ?? null,
    };
  };
  return {
    name: state.name,
    essential: state.essential,
    status: state.status,
    latency_ms: state.latencyMs,
    version: state.version,
    detail: state.detail,
    checked_at: state.checkedAt.toISOString(),
    last_error: state.lastError && { at: state.lastError.at.toISOString(), message: state.lastError.message },
    history: { '24h': over('24h'), '7d': over('7d'), '30d': over('30d') },
  };
}
