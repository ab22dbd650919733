import { createHash } from 'node:crypto';
import { type BoundedCache, createBoundedCache } from '../platform/bounded-cache.ts';
import {
  type Provider,
  type Resolution,
  type Route,
  standsAside,
  type Target,
  tierName,
} from './resolution.ts';

/** Everything that one tenant, or the platform, has of its own, by name. */
interface Holding {
  readonly providers: ReadonlyMap<string, Provider>;
  readonly routes: ReadonlyMap<string, Route>;
}

/** Providers and routes as they were at one moment. Never changed: a newer moment is a new snapshot. */
export interface RoutingSnapshot {
  readonly providers: readonly Provider[];
  readonly routes: readonly Route[];
  /** The tenant's own provider of that name, else the platform's. */
  provider(tenantId: string | null, name: string): Provider | undefined;
  route(tenantId: string | null, name: string): Route | undefined;
  /** What a tenant can name, its own in place of the platform's of the same name. `null`: the platform's only. */
  visibleProviders(tenantId: string | null): Provider[];
  visibleRoutes(tenantId: string | null): Route[];
  /** What `model` stands for, or undefined when nothing visible goes by that name. */
  resolve(tenantId: string, model: string): Resolution | undefined;
}

const nothing: Holding = { providers: new Map(), routes: new Map() };
/** Resolutions are made once per name and kept: this many for each tenant, as callers can make names up. */
const maxResolutions = 500;

export function createRoutingSnapshot(
  providers: readonly Provider[],
  routes: readonly Route[],
): RoutingSnapshot {
  const holdings = new Map<string | null, { providers: Map<string, Provider>; routes: Map<string, Route> }>();
  const holdingOf = (tenantId: string | null) => {
    const holding = holdings.get(tenantId) ?? { providers: new Map(), routes: new Map() };
    holdings.set(tenantId, holding);
    return holding;
  };
  for (const provider of providers) holdingOf(provider.tenantId).providers.set(provider.name, provider);
  for (const route of routes) holdingOf(route.tenantId).routes.set(route.name, route);

  const platform: Holding = holdings.get(null) ?? nothing;
  const own = (tenantId: string | null): Holding => holdings.get(tenantId) ?? nothing;
  const resolutions = new Map<string, BoundedCache<string, Resolution>>();
  const resolutionsOf = (tenantId: string) => {
    const known = resolutions.get(tenantId) ?? createBoundedCache(maxResolutions);
    resolutions.set(tenantId, known);
    return known;
  };

  const snapshot: RoutingSnapshot = {
    providers,
    routes,
    provider: (tenantId, name) => own(tenantId).providers.get(name) ?? platform.providers.get(name),
    route: (tenantId, name) => own(tenantId).routes.get(name) ?? platform.routes.get(name),
    visibleProviders: (tenantId) => [
      ...new Map([...platform.providers, ...own(tenantId).providers]).values(),
    ],
    visibleRoutes: (tenantId) => [...new Map([...platform.routes, ...own(tenantId).routes]).values()],
    resolve(tenantId, model) {
      const known = resolutions.get(tenantId)?.get(model);
      if (known) return known;
      const made = makeResolution(snapshot, tenantId, model);
      if (made) resolutionsOf(tenantId).set(model, made);
      return made;
    },
  };
  return snapshot;
}

/**
 * A route of that name; else `provider/model`; else, with one provider and no route at all, that provider's model of that
 * name. With routes, an unknown name is more likely a slip than a model, and must not reach a provider.
 */
function makeResolution(snapshot: RoutingSnapshot, tenantId: string, model: string): Resolution | undefined {
  const route = snapshot.route(tenantId, model);
  if (route) {
    const targets = route.tiers.map((tier, index) =>
      tier.targets.flatMap((target): Target[] => {
        const provider = snapshot.provider(tenantId, target.provider);
        return provider
          ? [{ tier: tierName(index), provider, model: target.model, weight: target.weight }]
          : [];
      }),
    );
    const tiers = targets.filter((tier) => tier.length > 0);
    return {
      route: route.name,
      strategy: route.strategy,
      cache: route.cache,
      version: versionOf([route.id, route.strategy, route.tiers], tiers),
      tiers,
    };
  }
  const slash = model.indexOf('/');
  const named = slash > 0 ? snapshot.provider(tenantId, model.slice(0, slash)) : undefined;
  if (named && slash + 1 < model.length) return direct(named, model.slice(slash + 1));
  if (snapshot.visibleRoutes(tenantId).length > 0) return undefined;
  const visible = snapshot.visibleProviders(tenantId).filter((provider) => !standsAside(provider));
  const [only] = visible;
  return only && visible.length === 1 ? direct(only, model) : undefined;
}

function direct(provider: Provider, model: string): Resolution {
  const tiers = [[{ tier: tierName(0), provider, model, weight: 1 }]];
  return {
    route: null,
    strategy: 'weighted',
    cache: { mode: 'off' },
    version: versionOf([model], tiers),
    tiers,
  };
}

/** @param plan what was set up. A name may come to stand for another server, so who answers is part of it, too. */
function versionOf(plan: readonly unknown[], tiers: Resolution['tiers']): string {
  const servers = tiers
    .flat()
    .map(({ provider: { id, kind, baseUrl, settings } }) => [id, kind, baseUrl, settings]);
  return createHash('sha256')
    .update(JSON.stringify([plan, servers]))
    .digest('base64url')
    .slice(0, 12);
}
