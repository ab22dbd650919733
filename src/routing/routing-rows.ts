import type { Provider, ProviderKey, ProviderKind, ProviderSettings, Route } from './resolution.ts';
import type { ProviderRow, RouteRow } from './routing.store.ts';
import type { GivenKey } from './stored-keys.ts';

/** A provider that is there without a stored row: a variable named it, or a test. */
export interface GivenProvider {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly baseUrl: string;
  /** Null: the server asks for none. */
  readonly apiKey: string | null;
  /** In place of `apiKey`, where there are several. */
  readonly apiKeys?: readonly GivenKey[];
  readonly settings?: ProviderSettings;
}

export function environmentProvider(given: GivenProvider): Provider {
  const keys = given.apiKeys ?? (given.apiKey === null ? [] : [{ value: given.apiKey, weight: 1 }]);
  return {
    id: `environment:${given.name}`,
    tenantId: null,
    name: given.name,
    kind: given.kind,
    baseUrl: given.baseUrl.replace(/\/+$/, ''),
    keys: keys.map(({ value, weight }) => ({ value, hint: null, weight })),
    keyProblem: null,
    settings: given.settings ?? {},
    localAddressesAllowed: true,
    source: 'environment',
    createdAt: new Date(0),
  };
}

export function storedProvider(
  row: ProviderRow,
  keys: readonly ProviderKey[],
  keyProblem: string | null,
): Provider {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    kind: row.kind,
    baseUrl: row.base_url,
    keys,
    keyProblem,
    settings: row.settings,
    localAddressesAllowed: row.local_addresses_allowed,
    source: 'stored',
    createdAt: row.created_at,
  };
}

export function routeOf(row: RouteRow): Route {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    strategy: row.strategy,
    cache: row.cache,
    tiers: row.tiers,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
