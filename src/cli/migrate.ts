import { loadConfig } from '../platform/config.ts';
import { migrate as bringUpToDate } from '../platform/database/migrate.ts';
import { createLog } from '../platform/log.ts';
import { openFoundation } from './foundation.ts';
import type { Output } from './output.ts';

/** Brings the schema up to date and ends: for deployments that migrate before they roll out. */
export async function migrate(environment: NodeJS.ProcessEnv, output: Output): Promise<number> {
  const config = loadConfig(environment);
  const log = createLog(config.logLevel);
  const report = (ran: readonly string[]) => {
    output.line(ran.length === 0 ? 'The schema is up to date.' : `Migrated: ${ran.join(', ')}.`);
    output.result({ migrated: ran });
  };
  // Beside running instances on a shared database there is no data directory to lock.
  if (config.databaseUrl) {
    report(await bringUpToDate(config.databaseUrl, log));
    return 0;
  }
  const foundation = await openFoundation(config, log);
  await foundation.close();
  report(foundation.migrated);
  return 0;
}
