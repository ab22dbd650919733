import type { Database } from '../../platform/database/database.ts';
import { type SealedColumn, textColumn } from '../../platform/keyring/sealed-columns.ts';
import { clientSecretPurpose } from './issuers/issuers.service.ts';
import { totpPurpose } from './second-factors.ts';

/** What people and the issuers that vouch for them have sealed. */
export function sealedPeopleColumns(database: Pick<Database, 'platform'>): readonly SealedColumn[] {
  const tenantColumn = 'tenant_id';
  return [
    textColumn(database, {
      table: 'totp_secrets',
      idColumn: 'user_id',
      column: 'sealed_secret',
      tenantColumn,
      purpose: (id, tenantId) => totpPurpose(tenantId ?? '', id),
    }),
    textColumn(database, {
      table: 'identity_providers',
      column: 'sealed_client_secret',
      tenantColumn,
      purpose: clientSecretPurpose,
    }),
  ];
}
