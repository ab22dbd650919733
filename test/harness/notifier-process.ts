/**
 * A process to be killed: `node notifier-process.ts <database url>`. Delivers what is due until it ends; a claim of it runs
 * out soon.
 */
import { usualBounds } from '../../src/notifications/delivering.ts';
import { createDatabase } from '../../src/platform/database/database.ts';
import { createLog } from '../../src/platform/log.ts';
import { startNotifier } from './notifier.ts';

/** How long the claims of a killed process hold. */
export const claimMs = 1_500;

if (import.meta.filename === process.argv[1]) {
  const url = process.argv[2] ?? '';
  const database = createDatabase({
    url,
    pool: { min: 0, max: 2 },
    statementTimeoutMs: 10_000,
    log: createLog('error'),
    nowMs: () => performance.now(),
  });
  await startNotifier(url, database, {
    timeouts: { connectMs: 500, totalMs: 500 },
    bounds: { ...usualBounds, claimMs, lookEveryMs: 500 },
  });
  process.stdout.write('delivering\n');
}
