import type { Principal } from '../access/index.ts';
import type { SettingsScope } from './routing.store.ts';

/** Whose settings a caller manages: null for the platform's, which is an owner's who named no tenant. */
export function settingsOwner(principal: Principal): string | null {
  return principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;
}

export function settingsScope(principal: Principal): SettingsScope {
  return settingsOwner(principal) === null ? 'platform' : principal;
}
