import { existsSync } from 'node:fs';
import pg from 'pg';
import { AppError } from '../errors.ts';
import { keyFile, type MasterKeySettings } from '../master-key.ts';
import { fingerprintOf, missingKey } from './local-keys.ts';

/**
 * A lost master key must not be followed by a new one that opens nothing and lies where the old one belongs.
 * @param databaseUrl of the owner role; its schema is up to date.
 * @throws AppError `config_invalid` naming the key that is missing.
 */
export async function refuseNewMasterKey(
  configured: MasterKeySettings,
  dataDir: string,
  databaseUrl: string,
): Promise<void> {
  if (configured.masterKey || configured.keyringFile !== null || existsSync(keyFile(dataDir))) return;
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<{ fingerprint: string }>(
      `select value ->> 'fingerprint' as fingerprint from platform_settings where name = 'master_key_fingerprint'`,
    );
    const [recorded] = rows;
    if (!recorded || configured.oldMasterKeys.some((key) => fingerprintOf(key) === recorded.fingerprint))
      return;
    throw new AppError(
      'config_invalid',
      `${keyFile(dataDir)} is gone. ${missingKey(`local:${recorded.fingerprint}`)}`,
    );
  } finally {
    await client.end();
  }
}
