import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { removeDirectory } from '../harness/server.ts';
import { withDatabase } from './check-database.ts';
import { type CrashRun, report } from './house.ts';
import type { Lives } from './lives.ts';
import type { Draws } from './random.ts';

/** Each empty directory sees this many kills at most, because a first boot goes on where the last one was killed. */
const killsPerDirectory = 3;
const notedWithinMs = 10_000;

/** Told apart from the directories of other stories, because it may stay as evidence. */
export const crashDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'gatehouse-crash-'));

/**
 * Kills servers during the very first start, while PostgreSQL is made, the schema migrated and the first documents
 * ingested; the start after them must do what they did not. The last directory is the one that the run goes on with.
 */
export async function breakFirstBoots(
  run: CrashRun,
  lives: Lives,
  draws: Draws,
  { firstBootKills, signal }: { readonly firstBootKills: number; readonly signal?: AbortSignal },
): Promise<void> {
  for (let left = firstBootKills; ; ) {
    const here = Math.min(left, killsPerDirectory);
    for (let killed = 0; killed < here; killed++) {
      run.round += 1;
      await lives.killDuringStart(draws.pick(['server', 'server and database', 'family']), draws.number());
    }
    left = signal?.aborted ? 0 : left - here;
    await lives.begin();
    await withDatabase(run.dataDir, (client) => checkFirstBoot(run, lives, client));
    // A directory in which something went wrong is kept.
    if (left === 0 || run.violations.length > 0) return;
    await lives.stop();
    await removeDirectory(run.dataDir);
    run.dataDir = await crashDirectory();
    lives.forgetPrinted();
  }
}

async function checkFirstBoot(run: CrashRun, lives: Lives, client: pg.Client): Promise<void> {
  await waitUntilNoted(run, client);
  lives.printed.firstBootIsDone = true;
  const { rows } = await client.query<{ what: string; found: number; wanted: number }>(`
    select 'tenants' as what, count(*)::int as found, 1 as wanted from tenants
    union all select 'users', count(*)::int, 1 from users
    union all select 'documents under one name twice', count(*)::int - count(distinct external_id)::int, 0 from documents
    union all select 'documents that are not ready', count(*)::int, 0 from documents where status <> 'ready'
    union all select 'documents called README.md', count(*)::int, 1 from documents where external_id = 'README.md'`);
  for (const { what, found, wanted } of rows) {
    if (found !== wanted) report(run, 'first boot', `there are ${found} ${what}, not ${wanted}`);
  }
}

/** That it is done is written down an instant after it was said. */
async function waitUntilNoted(run: CrashRun, client: pg.Client): Promise<void> {
  const deadline = performance.now() + notedWithinMs;
  for (;;) {
    const noted = await client.query(`select 1 from platform_settings where name = 'first_boot'`);
    if ((noted.rowCount ?? 0) > 0) return;
    if (performance.now() > deadline)
      return report(run, 'first boot', 'the server is ready and first boot is not noted as done');
    await pause(20);
  }
}
