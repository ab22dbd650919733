import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase } from '../../src/platform/database/database.ts';
import { createEmbeddedPostgres } from '../../src/platform/database/embedded/index.ts';
import { migrate } from '../../src/platform/database/migrate.ts';
import { createLog } from '../../src/platform/log.ts';
import type { TestDatabase } from '../harness/database.ts';

/** A PostgreSQL of its own, for programs that run outside a test run. */
export async function createOwnDatabase(): Promise<TestDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gatehouse-soak-'));
  const log = createLog('silent');
  const server = createEmbeddedPostgres({ dataDir, log });
  const { url } = await server.start();
  await migrate(url, log);
  const database = createDatabase({
    url,
    pool: { min: 0, max: 4 },
    statementTimeoutMs: 10_000,
    log,
    nowMs: () => performance.now(),
  });
  return {
    url,
    database,
    async drop() {
      await database.stop();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
