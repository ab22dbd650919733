import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { notFound } from '../../platform/errors.ts';
import type { MaskingRuleRow, MaskingStore } from './masking.store.ts';

/** More would make each reading of a document slow. */
const mostRules = 100;

/** Rules of masking as administrators set them. */
export function createMasking(deps: { readonly store: MaskingStore; readonly clock: Clock }) {
  const { store, clock } = deps;
  return {
    rules: (principal: Principal): Promise<MaskingRuleRow[]> => store.all(principal),
    /** Holds at the next request. */
    mask(principal: Principal, name: string, roles: readonly string[]): Promise<MaskingRuleRow> {
      const now = clock.now();
      const row = {
        tenant_id: principal.tenantId,
        field: name,
        readers: [...new Set(roles)].sort().map((role) => `role:${role}`),
        created_by: `user:${principal.userId ?? principal.keyId}`,
        created_at: now,
        updated_at: now,
      };
      return store.set(principal, row, mostRules);
    },
    async unmask(principal: Principal, name: string): Promise<void> {
      if (!(await store.remove(principal, name))) throw notFound('masking rule');
    },
  };
}

export type Masking = ReturnType<typeof createMasking>;
