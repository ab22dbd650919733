import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secret-box.ts';
import { noSecretReferences, type SecretReferences } from '../platform/secret-references/index.ts';
import { answerModelOf, embeddingModelOf } from './answer-model.ts';
import { type DryRunDependencies, dryRun, type ImaginedCall } from './dry-run.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { createEnvironmentProviders } from './open-environment-providers.ts';
import { createOpenProviders } from './open-providers.ts';
import { createProviderSetUp } from './provider-set-up.ts';
import type { Provider, Resolution, Route, Target } from './resolution.ts';
import { createRouteSetUp } from './route-set-up.ts';
import type { RoutingStore } from './routing.store.ts';
import { environmentProvider, type GivenProvider, routeOf } from './routing-rows.ts';
import { createRoutingSnapshot, type RoutingSnapshot } from './routing-snapshot.ts';
import { settingsOwner } from './settings-owner.ts';
import { type CallFacts, type TargetKnowledge, targetsInOrder } from './target-order.ts';

export interface RoutingDependencies {
  readonly store: RoutingStore;
  readonly secretBox: Secrets;
  /** What stands for a key that is kept elsewhere; absent: none is accepted. */
  readonly references?: SecretReferences;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly log: Log;
  /** Providers that are there because their variables are set; a stored platform provider of the same name wins. */
  readonly environmentProviders: readonly GivenProvider[];
  readonly knowledge: TargetKnowledge;
  /** Calls back for each committed change of providers and routes, and after each gap in hearing of them. */
  readonly subscribe: (onChange: () => void, onGap: () => void) => void;
}

export type Routing = ReturnType<typeof createRouting>;

const maxNamesInDetail = 20;

export function createRouting(deps: RoutingDependencies) {
  const { store, log } = deps;
  let snapshot = createRoutingSnapshot([], []);
  const { secretBox, references = noSecretReferences } = deps;
  const opened = createOpenProviders({ secretBox, references, log });
  const openEnvironment = createEnvironmentProviders(deps.environmentProviders.map(environmentProvider), {
    references,
    log,
  });

  const load = async (): Promise<void> => {
    const [providerRows, routeRows] = await Promise.all([store.allProviders(), store.allRoutes()]);
    const [stored, fromEnvironment] = await Promise.all([opened.open(providerRows), openEnvironment()]);
    const taken = new Set(stored.flatMap((provider) => (provider.tenantId === null ? [provider.name] : [])));
    snapshot = createRoutingSnapshot(
      [...fromEnvironment.filter((provider) => !taken.has(provider.name)), ...stored],
      routeRows.map(routeOf),
    );
  };
  const refresh = oneAtATime(load);
  const refreshQuietly = () =>
    refresh().catch((error) => log.warn({ err: error }, 'providers and routes could not be read again'));
  deps.subscribe(refreshQuietly, refreshQuietly);

  const setUp = {
    store,
    clock: deps.clock,
    newId: deps.newId,
    snapshot: () => snapshot,
    refresh: refreshQuietly,
  };

  return {
    start: refresh,
    /** Opens every key again: one may be closed by now, open again, or be another one where it is kept. */
    async reopen(): Promise<void> {
      opened.reopen();
      await refreshQuietly();
    },

    /**
     * @param model as the caller named it.
     * @returns what it stands for in the caller's tenant.
     * @throws AppError `model_not_found`, naming what there is; `no_model_configured` when a route leads nowhere.
     */
    resolve(principal: Pick<Principal, 'tenantId'>, model: string): Resolution {
      const resolution = snapshot.resolve(principal.tenantId, model);
      if (!resolution) throw modelNotFound(snapshot, principal.tenantId, model);
      if (resolution.tiers.length === 0) {
        throw new AppError(
          'no_model_configured',
          `The route "${model}" leads to no provider that still exists. Put the route again: PUT /api/v1/routes/${encodeURIComponent(model)}`,
        );
      }
      return resolution;
    },
    /** The resolution's targets in the order in which this call tries them. */
    targetsOf: (resolution: Resolution, facts: CallFacts): readonly Target[] =>
      targetsInOrder(resolution, facts, deps.knowledge, deps.random.fraction),
    /** Where a call would go now, and why; for a model that there is not, what there is instead. */
    explain(call: ImaginedCall, about: Pick<DryRunDependencies, 'health' | 'wayTo'>) {
      const run = dryRun(call, { ...about, snapshot, knowledge: deps.knowledge });
      return { run, available: availableTo(snapshot, call.tenantId) };
    },
    /** Changes with whatever decides what a model name stands for; null when it stands for nothing. */
    versionOf: (principal: Pick<Principal, 'tenantId'>, model: string): string | null =>
      snapshot.resolve(principal.tenantId, model)?.version ?? null,
    answerModelFor: (principal: Pick<Principal, 'tenantId'>) => answerModelOf(snapshot, principal.tenantId),
    embeddingModelFor: (principal: Pick<Principal, 'tenantId'>) =>
      embeddingModelOf(snapshot, principal.tenantId),

    /** Where the provider is that goes by that name in the tenant; empty when there is none. */
    addressOf: (tenantId: string, provider: string): string =>
      snapshot.provider(tenantId, provider)?.baseUrl ?? '',
    /** Tenants in which that name is a provider of their own, not the platform's. */
    tenantsWithOwn: (provider: string): string[] =>
      snapshot.providers.flatMap(({ name, tenantId }) =>
        name === provider && tenantId !== null ? [tenantId] : [],
      ),

    providers: (principal: Principal): Provider[] =>
      snapshot.visibleProviders(settingsOwner(principal)).sort(newestFirst),
    routes: (principal: Principal): Route[] =>
      snapshot.visibleRoutes(settingsOwner(principal)).sort(newestFirst),
    /** Routes that the caller can name in a model call, also for an owner who named no tenant. */
    callableRoutes: (principal: Pick<Principal, 'tenantId'>): Route[] =>
      snapshot.visibleRoutes(principal.tenantId).sort(newestFirst),
    /** @throws AppError `not_found`. */
    route(principal: Principal, name: string): Route {
      const route = snapshot.route(settingsOwner(principal), name);
      if (!route) throw notFound('route');
      return route;
    },

    ...createProviderSetUp({ ...setUp, secretBox, references, revisionOf: opened.revisionOf }),
    ...createRouteSetUp(setUp),
  };
}

function modelNotFound(snapshot: RoutingSnapshot, tenantId: string, model: string): AppError {
  const { routes, providers } = availableTo(snapshot, tenantId);
  const there = [...routes, ...providers.map((name) => `${name}/<model>`)];
  const shown = there.slice(0, maxNamesInDetail).join(', ');
  const more = there.length > maxNamesInDetail ? ` and ${there.length - maxNamesInDetail} more` : '';
  return new AppError(
    'model_not_found',
    there.length === 0
      ? `There is no model "${model}": no provider is set up. Start with POST /api/v1/providers.`
      : `There is no model "${model}". Available: ${shown}${more}.`,
    { errors: [{ path: 'model', message: 'unknown model' }] },
  );
}

/** Names that a tenant can call models by. */
function availableTo(snapshot: RoutingSnapshot, tenantId: string) {
  const names = (of: readonly { readonly name: string }[]) => of.map(({ name }) => name).sort();
  return {
    routes: names(snapshot.visibleRoutes(tenantId)),
    providers: names(snapshot.visibleProviders(tenantId)),
  };
}

function newestFirst(a: { createdAt: Date; id: string }, b: { createdAt: Date; id: string }): number {
  return b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1);
}
