import type { Log } from '../platform/log.ts';
import type { Removal } from './shared-level.ts';

export interface PendingRemovalsDependencies {
  readonly log: Log;
  /** Rejects when it could not be done yet. */
  readonly apply: (removal: Removal) => Promise<unknown>;
}

/** Removals of one tenant that are remembered one by one; beyond, all of the tenant's entries are to go. */
const maxPerTenant = 1_000;
const maxTenants = 10_000;

/** What was removed while Redis was away, to be told when it is back. */
export function createPendingRemovals({ log, apply }: PendingRemovalsDependencies) {
  const ofTenant = new Map<string, Map<string, Removal>>();
  let settling: Promise<void> | null = null;
  let size = 0;

  const settleAll = async (): Promise<void> => {
    for (const [tenantId, removals] of ofTenant) {
      for (const [id, removal] of removals) {
        await apply(removal);
        // The same may have been removed again meanwhile.
        if (removals.get(id) === removal && removals.delete(id)) size--;
      }
      if (removals.size === 0) ofTenant.delete(tenantId);
    }
  };

  return {
    get size() {
      return size;
    },
    add(removal: Removal): void {
      const { tenantId } = removal;
      const removals = ofTenant.get(tenantId) ?? new Map<string, Removal>();
      if (!ofTenant.has(tenantId) && ofTenant.size >= maxTenants) {
        log.error(
          { tenant: tenantId },
          'too much was removed while Redis was away: old answers may live until their time',
        );
        return;
      }
      ofTenant.set(tenantId, removals);
      size -= removals.size;
      const whole = removal.what === 'tenant' || removals.has('tenant') || removals.size >= maxPerTenant;
      if (whole) {
        removals.clear();
        removals.set('tenant', { what: 'tenant', tenantId });
      } else {
        removals.set(`${removal.what} ${removal.name}`, removal);
      }
      size += removals.size;
    },
    /** Tells Redis all of it, as far as it goes; what is left is tried again at the next call. */
    settle(): Promise<void> {
      settling ??= settleAll()
        .catch((error) => log.warn({ reason: String(error) }, 'removals wait for Redis'))
        .finally(() => {
          settling = null;
        });
      return settling;
    },
  };
}
