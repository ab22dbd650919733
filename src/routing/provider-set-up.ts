import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { AppError, notFound } from '../platform/errors.ts';
import { isUuid, type NewId } from '../platform/ids.ts';
import type { Secrets } from '../platform/secret-box.ts';
import type { SecretReferences } from '../platform/secret-references/index.ts';
import { checkedBaseUrl } from './address-policy.ts';
import { checkedDescription, type ProviderDescription } from './provider-kinds.ts';
import type { Provider, ProviderKind } from './resolution.ts';
import type { ProviderRow, RoutingStore } from './routing.store.ts';
import { storedProvider } from './routing-rows.ts';
import type { RoutingSnapshot } from './routing-snapshot.ts';
import { settingsOwner, settingsScope } from './settings-owner.ts';
import { type GivenKey, openKeys, sealKeys } from './stored-keys.ts';

export interface ProviderSetUpDependencies {
  readonly store: RoutingStore;
  readonly secretBox: Secrets;
  readonly references: SecretReferences;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly snapshot: () => RoutingSnapshot;
  /** Of a stored provider in the snapshot. */
  readonly revisionOf: (provider: Provider) => number;
  /** Settles when a snapshot taken after the call is in use. */
  readonly refresh: () => Promise<void>;
}

/** A provider as a caller describes it. */
export interface DescribedProvider extends ProviderDescription {
  /** Null: those that are stored stay; a new provider has none. */
  readonly keys: readonly GivenKey[] | null;
}

const maxNamesInDetail = 20;

/** Setting up, changing and deleting providers: the platform's when an owner named no tenant, else the tenant's own. */
export function createProviderSetUp(deps: ProviderSetUpDependencies) {
  const { store, secretBox } = deps;

  const storedOf = (principal: Principal, idOrName: string): Provider | undefined => {
    const owner = settingsOwner(principal);
    return deps
      .snapshot()
      .providers.find(
        (candidate) =>
          candidate.source === 'stored' &&
          candidate.tenantId === owner &&
          (candidate.id === idOrName || candidate.name === idOrName),
      );
  };

  return {
    /** One that the caller can see, by id or name. @throws AppError `not_found`. */
    provider(principal: Principal, idOrName: string): Provider {
      const visible = deps.snapshot().visibleProviders(settingsOwner(principal));
      const found =
        visible.find((provider) => provider.name === idOrName) ??
        visible.find((provider) => provider.id === idOrName);
      if (!found) throw notFound('provider');
      return found;
    },

    /**
     * @throws AppError `invalid` naming what is missing, foreign to the kind or not to be used; `conflict` on a name
     *   taken.
     */
    async createProvider(
      principal: Principal,
      given: DescribedProvider & { readonly name: string },
    ): Promise<Provider> {
      const localAllowed = principal.role === 'owner';
      const keys = given.keys ?? [];
      refuseForeignReferences(deps.references, principal, keys);
      const { baseUrl, settings } = checkedDescription(given, localAllowed, keys.length > 0);
      const id = deps.newId();
      const tenantId = settingsOwner(principal);
      const row: ProviderRow = {
        id,
        tenant_id: tenantId,
        name: given.name,
        kind: given.kind,
        base_url: baseUrl,
        ...(await sealKeys(secretBox, { id, tenant_id: tenantId }, keys)),
        settings,
        local_addresses_allowed: localAllowed,
        revision: 1,
        created_by: `key:${principal.keyId}`,
        created_at: deps.clock.now(),
        updated_at: null,
      };
      await store.insertProvider(settingsScope(principal), row);
      await deps.refresh();
      return (
        deps.snapshot().provider(row.tenant_id, row.name) ??
        storedProvider(row, await openKeys(deps, row, []), null)
      );
    },

    /**
     * Gives a provider a new description; routes go on leading to it by its name. Keys that are not given stay, but only
     * while it stays the same server: a key is never sent to an address that its giver did not mean it for.
     * @throws AppError `not_found`; `invalid` as `createProvider`; `conflict` when another change came first.
     */
    async putProvider(principal: Principal, idOrName: string, given: DescribedProvider): Promise<Provider> {
      const before = storedOf(principal, idOrName);
      if (!before) throw notFound('provider');
      const { keys } = given;
      refuseForeignReferences(deps.references, principal, keys ?? []);
      const hasKey = keys === null ? before.keys.length > 0 || before.keyProblem !== null : keys.length > 0;
      const { baseUrl, settings } = checkedDescription(given, true, hasKey);
      if (keys === null && hasKey && !isSameServer(before, given.kind, baseUrl)) throw keyMustBeGivenAgain();
      // An address that a tenant gives is judged as a tenant's, even in place of one that an owner gave.
      const moved = baseUrl !== before.baseUrl;
      const localAllowed = moved ? principal.role === 'owner' : before.localAddressesAllowed;
      if (moved) checkedBaseUrl(baseUrl, localAllowed);
      const change = {
        kind: given.kind,
        base_url: baseUrl,
        settings,
        local_addresses_allowed: localAllowed,
        updated_at: deps.clock.now(),
        ...(keys === null
          ? {}
          : await sealKeys(secretBox, { id: before.id, tenant_id: before.tenantId }, keys)),
      };
      const scope = settingsScope(principal);
      if (!(await store.updateProvider(scope, before.id, deps.revisionOf(before), change))) {
        await deps.refresh();
        if (!storedOf(principal, before.id)) throw notFound('provider');
        throw new AppError(
          'conflict',
          `The provider "${before.name}" was changed at the same time. Look at it again, then repeat your change.`,
        );
      }
      await deps.refresh();
      const after = storedOf(principal, before.id);
      if (!after) throw notFound('provider');
      return after;
    },

    /**
     * @param idOrName of a provider of the platform (an owner who named no tenant) or of the tenant.
     * @throws AppError `not_found`; `conflict` while a route leads to it.
     */
    async deleteProvider(principal: Principal, idOrName: string): Promise<void> {
      const provider = storedOf(principal, idOrName);
      // Another instance may have made it an instant ago; by id the database knows better than this snapshot.
      const id = provider?.id ?? (isUuid(idOrName) ? idOrName : null);
      if (id === null) throw notFound('provider');
      if (provider) refuseWhileUsed(deps.snapshot(), provider);
      if (!(await store.deleteProvider(settingsScope(principal), id))) throw notFound('provider');
      await deps.refresh();
    },
  };
}

/** @throws AppError `invalid` naming the key, when it refers to what the caller may not make the server read. */
function refuseForeignReferences(
  references: SecretReferences,
  principal: Principal,
  keys: readonly GivenKey[],
): void {
  const isOwner = principal.role === 'owner';
  for (const [i, { value }] of keys.entries()) {
    const objection = references.objectionTo(value, { isOwner, tenantId: principal.tenantId });
    if (objection === null) continue;
    const path = keys.length === 1 ? 'api_key' : `api_keys.${i}.key`;
    throw new AppError('invalid', `${path} ${objection}.`, { errors: [{ path, message: objection }] });
  }
}

function isSameServer(before: Provider, kind: ProviderKind, baseUrl: string): boolean {
  return before.kind === kind && new URL(before.baseUrl).origin === new URL(baseUrl).origin;
}

function keyMustBeGivenAgain(): AppError {
  const message = 'must be given again when kind or base_url lead to another server';
  return new AppError('invalid', `api_key ${message}: stored keys are only sent where they were meant for.`, {
    errors: [{ path: 'api_key', message }],
  });
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
