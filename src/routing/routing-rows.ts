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
    apiKey: given.apiKey,
    keyProblem: null,
    keyHint: null,
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
    apiKey,
    keyProblem,
    keyHint: row.key_hint,
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
    tiers: row.tiers,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
