import type { DescribedProvider } from './provider-set-up.ts';
import { type Provider, type Route, type RouteCache, tierName } from './resolution.ts';
import type { RoutePlan } from './route-set-up.ts';
import type { ProviderDescriptionBody, RouteBody } from './routing.schema.ts';
import type { GivenKey } from './stored-keys.ts';

/** Providers and routes from and to the form they have over HTTP. */

export function describedProvider(body: ProviderDescriptionBody): DescribedProvider {
  const { connect_ms, first_token_ms, idle_ms, total_ms } = body.timeouts ?? {};
  return {
    kind: body.kind,
    baseUrl: body.base_url ?? null,
    keys: givenKeys(body),
    awsRegion: body.aws_region ?? null,
    projectId: body.project_id ?? null,
    maxConcurrent: body.max_concurrent ?? null,
    timeouts: {
      ...(connect_ms === undefined ? {} : { connectMs: connect_ms }),
      ...(first_token_ms === undefined ? {} : { firstTokenMs: first_token_ms }),
      ...(idle_ms === undefined ? {} : { idleMs: idle_ms }),
      ...(total_ms === undefined ? {} : { totalMs: total_ms }),
    },
  };
}

function givenKeys({ api_key, api_keys }: ProviderDescriptionBody): GivenKey[] | null {
  if (api_keys) return api_keys.map(({ key, weight }) => ({ value: key, weight }));
  return api_key ? [{ value: api_key, weight: 1 }] : null;
}

export function routePlan(body: RouteBody): RoutePlan {
  const { mode, ttl_seconds, similarity_threshold } = body.cache;
  const cache: RouteCache = {
    mode,
    ...(ttl_seconds === undefined ? {} : { ttlSeconds: ttl_seconds }),
    ...(similarity_threshold === undefined ? {} : { similarityThreshold: similarity_threshold }),
  };
  return { tiers: body.tiers, strategy: body.strategy, cache };
}

export function showProvider(provider: Provider) {
  const { settings, keys } = provider;
  const { connectMs, firstTokenMs, idleMs, totalMs } = settings.timeouts ?? {};
  return {
    id: provider.id,
    name: provider.name,
    kind: provider.kind,
    base_url: provider.baseUrl,
    has_key: keys.length > 0 || provider.keyProblem !== null,
    key_hint: keys[0]?.hint ?? null,
    keys: keys.map(({ hint, weight, reference = null }) => ({ hint, weight, reference })),
    key_problem: provider.keyProblem,
    aws_region: settings.awsRegion ?? null,
    project_id: settings.projectId ?? null,
    max_concurrent: settings.maxConcurrent ?? null,
    timeouts: { connect_ms: connectMs, first_token_ms: firstTokenMs, idle_ms: idleMs, total_ms: totalMs },
    scope: scopeOf(provider),
    source: provider.source,
    created_at: provider.source === 'stored' ? provider.createdAt.toISOString() : null,
  };
}

export function showRoute(route: Route) {
  return {
    name: route.name,
    scope: scopeOf(route),
    strategy: route.strategy,
    cache: showCache(route.cache),
    tiers: route.tiers.map((tier, index) => ({ name: tierName(index), targets: [...tier.targets] })),
    created_at: route.createdAt.toISOString(),
    updated_at: route.updatedAt.toISOString(),
  };
}

export function showCache({ mode, ttlSeconds, similarityThreshold }: RouteCache) {
  return { mode, ttl_seconds: ttlSeconds, similarity_threshold: similarityThreshold };
}

function scopeOf(of: Provider | Route) {
  return of.tenantId === null ? ('platform' as const) : ('tenant' as const);
}
