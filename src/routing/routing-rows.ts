import type { ProviderFromEnvironment } from '../platform/config.ts';
import type { Provider, Route } from './resolution.ts';
import type { ProviderRow, RouteRow } from './routing.store.ts';

export function environmentProvider(given: ProviderFromEnvironment): Provider {
  return {
    id: `environment:${given.name}`,
    tenantId: null,
    name: given.name,
    kind: given.kind,
    baseUrl: given.baseUrl.replace(/\/+$/, ''),
    keys: given.apiKey === null ? [] : [{ value: given.apiKey, hint: null, weight: 1 }],
    keyProblem: null,
    settings: {},
    localAddressesAllowed: true,
    source: 'environment',
    createdAt: new Date(0),
  };
}

export function storedProvider(row: ProviderRow, apiKey: string | null, keyProblem: string | null): Provider {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    kind: row.kind,
    baseUrl: row.base_url,
    keys: apiKey === null ? [] : [{ value: apiKey, hint: row.key_hint, weight: 1 }],
    keyProblem,
    settings: {},
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
    strategy: 'weighted',
    cache: { mode: 'off' },
    tiers: row.tiers,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
