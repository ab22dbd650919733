import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { createDatabase, type Database } from '../../src/platform/database/database.ts';
import { createLog } from '../../src/platform/log.ts';

export interface TestDatabase {
  /** Owner's connection string. */
  readonly url: string;
  readonly database: Database;
  /** Ends the pools and removes the database. */
  drop(): Promise<void>;
}

/** A database of its own for a test file: a copy of the migrated template on the run's one real server. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const template = inject('templateDatabaseUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asOwner(template, 'postgres', `create database ${name} template ${databaseIn(template)}`);
  const url = withDatabase(template, name);
  const database = createDatabase({
    url,
    pool: { min: 0, max: 10 },
    statementTimeoutMs: 10_000,
    log: createLog('silent'),
    nowMs: () => performance.now(),
  });
  return {
    url,
    database,
    async drop() {
      await database.stop();
      await asOwner(template, 'postgres', `drop database ${name} with (force)`);
    },
  };
}

async function asOwner(template: string, database: string, statement: string): Promise<void> {
  // Two files may copy the template at once, and PostgreSQL's own cleaning, which we may not end, may be at work in a
  // database that is dropped: whoever is refused tries again.
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({ connectionString: withDatabase(template, database) });
    await client.connect();
    try {
      await client.query(statement);
      return;
    } catch (error) {
      const busy = ['55006', '42501'].includes((error as { code?: string }).code ?? '');
      if (!busy || attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await client.end();
    }
  }
}

function databaseIn(url: string): string {
  return new URL(url.replace('@/', '@socket/')).pathname.slice(1);
}

/** The same server, another database; also for the socket form `postgresql://user@/database?host=…`. */
function withDatabase(url: string, name: string): string {
  return url.replace(/^(postgres(?:ql)?:\/\/[^/]*)\/[^?]*/, `$1/${name}`);
}
