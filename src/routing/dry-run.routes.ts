import { z } from 'zod';
import { usdFromNano } from '../costs/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import { callDialects, type DryRun, type DryRunDependencies, type ExplainedTarget } from './dry-run.ts';
import { providerKinds, strategies } from './resolution.ts';
import { modelName, routeCache } from './routing.schema.ts';
import type { Routing } from './routing.service.ts';
import { showCache } from './wire-form.ts';

const count = z.number().int().min(0).max(100_000_000);

const body = z.object({
  model: modelName.describe('As a call would name it: a route, or <provider>/<model>'),
  dialect: z.enum(callDialects).default('openai-chat').describe('What the call would be written in'),
  input_tokens: count.default(1_000).describe('For the estimate of costs'),
  max_output_tokens: count.default(1_024),
  session: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe('What the call would say in X-Gatehouse-Session; absent: the key that asks'),
  prefer: z.enum(['economical']).optional().describe('The tier to begin with'),
});

const targetView = z.object({
  tier: z.string(),
  provider: z.string(),
  kind: z.enum(providerKinds),
  model: z.string(),
  way: z
    .enum(['passed_through', 'translated', 'not_possible'])
    .describe('Whether the bytes of a call go there as they are'),
  state: z.enum(['ready', 'skipped']),
  reason: z.string().nullable().describe('Why it would be skipped now'),
  share: z.number().describe('Its part of the weights of its tier'),
  estimated_cost_usd: z
    .string()
    .nullable()
    .describe('US dollars as an exact decimal with nine places; null: it has no price'),
  latency_ms: z.number().nullable().describe('Mean time to the first token; null: not known'),
  decided_by: z
    .object({
      number: z.enum(['only_target', 'position', 'share', 'latency_ms', 'cost_usd', 'session_hash']),
      value: z.string().nullable(),
    })
    .describe('What put it in its place within the tier'),
});

const view = z.object({
  model: z.string(),
  known: z.boolean(),
  route: z
    .object({ name: z.string(), scope: z.enum(['tenant', 'platform']) })
    .nullable()
    .describe('Null when provider and model are named, or nothing that there is'),
  strategy: z.enum(strategies).nullable(),
  cache: routeCache.nullable(),
  chosen: targetView.nullable().describe('The first target that would be tried'),
  targets: z.array(targetView).describe('In the order in which they would be tried'),
  reasons: z.array(z.string()),
  afterwards: z
    .array(z.object({ tier: z.string(), explanation: z.string() }))
    .describe('What follows when all targets fail'),
  available: z
    .object({ routes: z.array(z.string()), providers: z.array(z.string()) })
    .nullable()
    .describe('For an unknown model: what there is'),
});

/** What the dry run has to know of the gateway and of the targets. */
export type DryRunView = Pick<DryRunDependencies, 'health' | 'wayTo'>;

export function dryRunRoutes(routing: Routing, about: DryRunView): Routes {
  return (api) => {
    api.post(
      '/routes/dry-run',
      {
        config: { access: { permission: 'routes:read' } },
        schema: {
          tags: ['Routes'],
          summary: 'Explain where a call would go now, and why; no provider is asked',
          body,
          response: { 200: view, ...problemResponses },
        },
      },
      async ({ principal, body: asked }) => {
        const { run, available } = routing.explain(
          {
            tenantId: principal.tenantId,
            model: asked.model,
            dialect: asked.dialect,
            inputTokens: asked.input_tokens,
            maxOutputTokens: asked.max_output_tokens,
            session: asked.session ?? principal.keyId,
            prefer: asked.prefer,
          },
          about,
        );
        return { model: asked.model, ...showRun(run), available: run.resolution ? null : available };
      },
    );
  };
}

function showRun({ resolution, route, targets, chosen, reasons, afterwards }: DryRun) {
  return {
    known: resolution !== null,
    route: route && {
      name: route.name,
      scope: route.tenantId === null ? ('platform' as const) : ('tenant' as const),
    },
    strategy: resolution?.strategy ?? null,
    cache: resolution && showCache(resolution.cache),
    chosen: chosen && showTarget(chosen),
    targets: targets.map(showTarget),
    reasons: [...reasons],
    afterwards: [...afterwards],
  };
}

function showTarget({ target, estimatedNanoUsd, ...explained }: ExplainedTarget) {
  return {
    tier: target.tier,
    provider: target.provider.name,
    kind: target.provider.kind,
    model: target.model,
    way: explained.way,
    state: explained.skipped === null ? ('ready' as const) : ('skipped' as const),
    reason: explained.skipped,
    share: explained.share,
    estimated_cost_usd: estimatedNanoUsd === null ? null : usdFromNano(estimatedNanoUsd),
    latency_ms: explained.latencyMs,
    decided_by: explained.decidedBy,
  };
}
