import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { createEmbeddedPostgres } from '../../src/platform/database/embedded/index.ts';
import { migrate } from '../../src/platform/database/migrate.ts';
import { createLog } from '../../src/platform/log.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Owner's connection string to the migrated database that each test copies. */
    templateDatabaseUrl: string;
  }
}

/** One real PostgreSQL server for the whole run, with one migrated database that tests copy (`createTestDatabase`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  const log = createLog('silent');
  const server = createEmbeddedPostgres({ dataDir, log });
  const { url } = await server.start();
  await migrate(url, log);
  project.provide('templateDatabaseUrl', url);
  return async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}
