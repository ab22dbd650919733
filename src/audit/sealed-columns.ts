import type { Database } from '../platform/database/database.ts';
import { type SealedColumn, textColumn } from '../platform/keyring/sealed-columns.ts';
import { auditKeyPurpose } from './signing-keys.ts';

/** The private halves of the keys that sign the log. */
export function sealedAuditKeys(database: Pick<Database, 'platform'>): SealedColumn {
  return textColumn(database, {
    table: 'audit_keys',
    column: 'sealed_private_key',
    purpose: (id) => auditKeyPurpose(id),
  });
}
