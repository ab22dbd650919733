import type { Database } from '../../platform/database/database.ts';
import { type SealedColumn, textColumn } from '../../platform/keyring/sealed-columns.ts';
import { signingKeyPurpose } from './signing-keys.ts';

/** The private halves of the keys that sign tokens. */
export function sealedTokenKeys(database: Pick<Database, 'platform'>): SealedColumn {
  return textColumn(database, {
    table: 'token_signing_keys',
    column: 'sealed_private_key',
    purpose: (id) => signingKeyPurpose(id),
  });
}
