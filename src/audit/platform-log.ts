import type { DatabaseScope } from '../platform/database/database.ts';

/** The log of what belongs to no tenant. */
export const platformLog: DatabaseScope = Object.freeze({
  tenantId: '00000000-0000-0000-0000-000000000000',
  readerTokens: Object.freeze([]),
});
