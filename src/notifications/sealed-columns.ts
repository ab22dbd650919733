import type { Database } from '../platform/database/database.ts';
import { type SealedColumn, textColumn } from '../platform/keyring/sealed-columns.ts';
import { signingPurpose, targetPurpose } from './attempt.ts';

/** What channels hold sealed. */
export function sealedNotificationColumns(database: Pick<Database, 'platform'>): readonly SealedColumn[] {
  const tenantColumn = 'tenant_id';
  return [
    textColumn(database, {
      table: 'notification_channels',
      column: 'sealed_target',
      tenantColumn,
      purpose: (id, tenantId) => targetPurpose(tenantId ?? '', id),
    }),
    textColumn(database, {
      table: 'notification_secrets',
      column: 'sealed',
      tenantColumn,
      purpose: (id, tenantId) => signingPurpose(tenantId ?? '', id),
    }),
  ];
}
