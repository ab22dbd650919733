import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import { isUuid, type NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Random } from '../platform/random.ts';
import type { SecretBox } from '../platform/secret-box.ts';
import { checkedBaseUrl } from './address-policy.ts';
import { answerModelOf, embeddingModelOf } from './answer-model.ts';
import {
  type Provider,
  type Resolution,
  type Route,
  type Target,
  type TierPlan,
  targetsInOrder,
} from './resolution.ts';
import type { ProviderRow, RouteRow, RoutingStore, SettingsScope } from './routing.store.ts';
import { environmentProvider, type GivenProvider, routeOf, storedProvider } from './routing-rows.ts';
import { createRoutingSnapshot, type RoutingSnapshot } from './routing-snapshot.ts';

export interface RoutingDependencies {
  readonly store: RoutingStore;
  readonly secretBox: Pick<SecretBox, 'seal' | 'open'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly log: Log;
  /** Providers that are there because their variables are set; a stored platform provider of the same name wins. */
  readonly environmentProviders: readonly GivenProvider[];
  /** Calls back for each committed change of providers and routes, and after each gap in hearing of them. */
  readonly subscribe: (onChange: () => void, onGap: () => void) => void;
}

export type Routing = ReturnType<typeof createRouting>;

/** Below this length the last four characters would tell too much of a key. */
const leastLengthForHint = 12;
const maxNamesInDetail = 20;

export function createRouting(deps: RoutingDependencies) {
  const { store, log } = deps;
  let snapshot = createRoutingSnapshot([], []);
  const fromEnvironment = deps.environmentProviders.map(environmentProvider);

  const load = async (): Promise<void> => {
    const [providerRows, routeRows] = await Promise.all([store.allProviders(), store.allRoutes()]);
    const known = new Map(snapshot.providers.map((provider) => [provider.id, provider]));
    // An id is never given another content, so what is known need not be opened again, unless that failed.
    const stored = providerRows.map((row) => {
      const before = known.get(row.id);
      return before && before.keyProblem === null ? before : openProvider(row);
    });
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

  const openProvider = (row: ProviderRow): Provider => {
    try {
      const apiKey = row.sealed_key === null ? null : deps.secretBox.open(row.sealed_key, purposeOf(row.id));
      return storedProvider(row, apiKey, null);
    } catch (error) {
      // One key that cannot be opened must not keep the other providers from working.
      log.error(
        { err: error, provider: row.name, tenant: row.tenant_id },
        "a provider's key cannot be opened",
      );
      return storedProvider(row, null, error instanceof Error ? error.message : String(error));
    }
  };

  return {
    start: refresh,

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
    targetsOf: (resolution: Resolution): readonly Target[] =>
      targetsInOrder(resolution, deps.random.fraction),
    answerModelFor: (principal: Pick<Principal, 'tenantId'>) => answerModelOf(snapshot, principal.tenantId),
    embeddingModelFor: (principal: Pick<Principal, 'tenantId'>) =>
      embeddingModelOf(snapshot, principal.tenantId),

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

    /**
     * Sets up a provider: the platform's when an owner named no tenant, else the tenant's own.
     * @throws AppError `invalid` on an unknown kind or a base URL that may not be used, `conflict` on a name taken.
     */
    async createProvider(
      principal: Principal,
      given: { name: string; kind: string; baseUrl: string; apiKey: string | null },
    ): Promise<Provider> {
      if (given.kind !== 'openai') {
        throw new AppError(
          'invalid',
          `The kind "${given.kind}" is not supported yet. "openai" covers every server that speaks the OpenAI API.`,
          { errors: [{ path: 'kind', message: 'must be openai; others are not supported yet' }] },
        );
      }
      const localAllowed = principal.role === 'owner';
      const baseUrl = checkedBaseUrl(given.baseUrl, localAllowed);
      const id = deps.newId();
      const { apiKey } = given;
      const row: ProviderRow = {
        id,
        tenant_id: settingsOwner(principal),
        name: given.name,
        kind: 'openai',
        base_url: baseUrl,
        sealed_key: apiKey === null ? null : deps.secretBox.seal(apiKey, purposeOf(id)),
        key_hint: apiKey !== null && apiKey.length >= leastLengthForHint ? apiKey.slice(-4) : null,
        local_addresses_allowed: localAllowed,
        created_by: `key:${principal.keyId}`,
        created_at: deps.clock.now(),
      };
      await store.insertProvider(settingsScope(principal), row);
      await refreshQuietly();
      return storedProvider(row, apiKey, null);
    },

    /**
     * @param idOrName of a provider of the platform (an owner who named no tenant) or of the tenant.
     * @throws AppError `not_found`; `conflict` while a route leads to it.
     */
    async deleteProvider(principal: Principal, idOrName: string): Promise<void> {
      const owner = settingsOwner(principal);
      const provider = snapshot.providers.find(
        (candidate) =>
          candidate.source === 'stored' &&
          candidate.tenantId === owner &&
          (candidate.id === idOrName || candidate.name === idOrName),
      );
      // Another instance may have made it an instant ago; by id the database knows better than this snapshot.
      const id = provider?.id ?? (isUuid(idOrName) ? idOrName : null);
      if (id === null) throw notFound('provider');
      if (provider) refuseWhileUsed(snapshot, provider);
      if (!(await store.deleteProvider(settingsScope(principal), id))) throw notFound('provider');
      await refreshQuietly();
    },

    /** Makes or replaces a route. @throws AppError `invalid` naming a provider that the caller has not got. */
    async putRoute(principal: Principal, name: string, tiers: readonly TierPlan[]): Promise<Route> {
      const owner = settingsOwner(principal);
      const errors = tiers.flatMap((tier, t) =>
        tier.targets.flatMap((target, n) =>
          snapshot.provider(owner, target.provider)
            ? []
            : [
                {
                  path: `tiers.${t}.targets.${n}.provider`,
                  message: `there is no provider "${target.provider}"`,
                },
              ],
        ),
      );
      const [first] = errors;
      if (first) {
        throw new AppError(
          'invalid',
          `${first.path}: ${first.message}. Set it up first: POST /api/v1/providers`,
          {
            errors,
          },
        );
      }
      const now = deps.clock.now();
      const before = snapshot.routes.find((route) => route.tenantId === owner && route.name === name);
      const row: RouteRow = {
        id: before?.id ?? deps.newId(),
        tenant_id: owner,
        name,
        tiers,
        created_by: `key:${principal.keyId}`,
        created_at: before?.createdAt ?? now,
        updated_at: now,
      };
      await store.putRoute(settingsScope(principal), row);
      await refreshQuietly();
      return routeOf(row);
    },

    /** @throws AppError `not_found`. */
    async deleteRoute(principal: Principal, name: string): Promise<void> {
      if (!(await store.deleteRoute(settingsScope(principal), name))) throw notFound('route');
      await refreshQuietly();
    },
  };
}

/** Whose settings a caller manages: null for the platform's, which is an owner's who named no tenant. */
function settingsOwner(principal: Principal): string | null {
  return principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;
}

function settingsScope(principal: Principal): SettingsScope {
  return settingsOwner(principal) === null ? 'platform' : principal;
}

/** A platform provider may be used by any tenant's route, unless that tenant has one of the same name. */
function refuseWhileUsed(snapshot: RoutingSnapshot, provider: Provider): void {
  const users = snapshot.routes.filter(
    (route) =>
      route.tiers.some((tier) => tier.targets.some((target) => target.provider === provider.name)) &&
      snapshot.provider(route.tenantId, provider.name) === provider,
  );
  if (users.length === 0) return;
  const names = users.slice(0, maxNamesInDetail).map((route) => `"${route.name}"`);
  throw new AppError(
    'conflict',
    `The provider "${provider.name}" is used by ${users.length === 1 ? 'the route' : `${users.length} routes:`} ${names.join(', ')}. Change or delete ${users.length === 1 ? 'it' : 'them'} first.`,
  );
}

function modelNotFound(snapshot: RoutingSnapshot, tenantId: string, model: string): AppError {
  const routes = snapshot.visibleRoutes(tenantId).map((route) => route.name);
  const providers = snapshot.visibleProviders(tenantId).map((provider) => `${provider.name}/<model>`);
  const there = [...routes.sort(), ...providers.sort()];
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

function newestFirst(a: { createdAt: Date; id: string }, b: { createdAt: Date; id: string }): number {
  return b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1);
}

function purposeOf(providerId: string): string {
  return `provider:${providerId}`;
}

/**
 * @returns a function whose promise settles after a run of `work` that began no earlier than the call: many calls at
 *   once share one run.
 */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  const begin = (): Promise<void> => {
    running = work().finally(() => {
      running = null;
    });
    return running;
  };
  return () => {
    if (next) return next;
    if (!running) return begin();
    next = running
      .catch(() => {})
      .then(() => {
        next = null;
        return begin();
      });
    return next;
  };
}
