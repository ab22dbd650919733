import { problemResponses, type Routes } from '../../platform/api.ts';
import { healthView } from './health.schema.ts';
import {
  maxTargetsShown,
  type ProviderHealthDependencies,
  type VisibleTarget,
  visibleTargets,
} from './provider-health.ts';

export function providerHealthRoutes(deps: ProviderHealthDependencies): Routes {
  return (api) => {
    api.get(
      '/providers/health',
      {
        config: { access: { permission: 'providers:read' } },
        schema: {
          tags: ['Providers'],
          summary: 'How the targets are, as this instance knows it: circuit breakers, latency, failures',
          response: { 200: healthView, ...problemResponses },
        },
      },
      async (request) => {
        const targets = visibleTargets(deps, request.principal);
        return {
          targets: targets.slice(0, maxTargetsShown).map(showTarget),
          truncated: targets.length > maxTargetsShown,
        };
      },
    );
  };
}

function showTarget({ provider, model, status, detailed }: VisibleTarget) {
  const { lastFailure = null } = status ?? {};
  return {
    provider: provider.name,
    model,
    scope: provider.tenantId === null ? ('platform' as const) : ('tenant' as const),
    state: status?.state ?? ('closed' as const),
    since: status?.since?.toISOString() ?? null,
    open_until: status?.openUntil?.toISOString() ?? null,
    latency_ms: status?.latencyMs == null ? null : Math.round(status.latencyMs),
    details: detailed
      ? {
          consecutive_failures: status?.consecutiveFailures ?? 0,
          last_failure: lastFailure && { at: lastFailure.at.toISOString(), reason: lastFailure.reason },
          in_flight: status?.inFlight ?? 0,
          attempts_5m: status?.attempts ?? 0,
          failures_5m: status?.failures ?? 0,
        }
      : null,
  };
}
