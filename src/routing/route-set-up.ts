import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Route, RouteCache, Strategy, TierPlan } from './resolution.ts';
import type { RouteRow, RoutingStore } from './routing.store.ts';
import { routeOf } from './routing-rows.ts';
import type { RoutingSnapshot } from './routing-snapshot.ts';
import { settingsOwner, settingsScope } from './settings-owner.ts';

export interface RouteSetUpDependencies {
  readonly store: RoutingStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly snapshot: () => RoutingSnapshot;
  /** Settles when a snapshot taken after the call is in use. */
  readonly refresh: () => Promise<void>;
}

/** Where a route leads, and how. */
export interface RoutePlan {
  readonly tiers: readonly TierPlan[];
  /** `weighted` when absent. */
  readonly strategy?: Strategy;
  /** Off when absent. */
  readonly cache?: RouteCache;
}

/** Making and deleting routes: the platform's when an owner named no tenant, else the tenant's own. */
export function createRouteSetUp(deps: RouteSetUpDependencies) {
  const { store } = deps;
  return {
    /** Makes or replaces a route. @throws AppError `invalid` naming a provider that the caller has not got. */
    async putRoute(principal: Principal, name: string, plan: RoutePlan): Promise<Route> {
      const owner = settingsOwner(principal);
      refuseUnknownProviders(deps.snapshot(), owner, plan.tiers);
      const now = deps.clock.now();
      const before = deps.snapshot().routes.find((route) => route.tenantId === owner && route.name === name);
      const row: RouteRow = {
        id: before?.id ?? deps.newId(),
        tenant_id: owner,
        name,
        strategy: plan.strategy ?? 'weighted',
        cache: plan.cache ?? { mode: 'off' },
        tiers: plan.tiers,
        created_by: `key:${principal.keyId}`,
        created_at: before?.createdAt ?? now,
        updated_at: now,
      };
      await store.putRoute(settingsScope(principal), row);
      await deps.refresh();
      return routeOf(row);
    },

    /** @throws AppError `not_found`. */
    async deleteRoute(principal: Principal, name: string): Promise<void> {
      if (!(await store.deleteRoute(settingsScope(principal), name))) throw notFound('route');
      await deps.refresh();
    },
  };
}

function refuseUnknownProviders(
  snapshot: RoutingSnapshot,
  owner: string | null,
  tiers: readonly TierPlan[],
): void {
  const errors = tiers.flatMap((tier, t) =>
    tier.targets.flatMap(({ provider }, n) =>
      snapshot.provider(owner, provider)
        ? []
        : [{ path: `tiers.${t}.targets.${n}.provider`, message: `there is no provider "${provider}"` }],
    ),
  );
  const [first] = errors;
  if (!first) return;
  const detail = `${first.path}: ${first.message}. Set it up first: POST /api/v1/providers`;
  throw new AppError('invalid', detail, { errors });
}
