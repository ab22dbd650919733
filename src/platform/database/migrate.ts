import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';

const directory = fileURLToPath(new URL('../../../migrations', import.meta.url));
/** PostgreSQL 15 is the first with what the schema needs (security_invoker views, NULLS NOT DISTINCT). */
const leastServerVersion = 150_000;

/**
 * Brings the schema up to date, as the owner role; several instances starting at once wait for one another.
 * @returns the names of the migrations that ran.
 * @throws AppError `database_unavailable` with what to do when the server cannot be reached, is too old, or the role
 *   may not do what is needed.
 */
export async function migrate(url: string, log: Log): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', (error) => log.warn({ err: error }, 'the migration connection was lost'));
  try {
    await client.connect();
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      `The database cannot be reached: ${why(cause)}. Check DATABASE_URL.`,
      {
        cause,
      },
    );
  }
  try {
    await checkServer(client);
    const quiet = (message: string) => log.debug({}, message);
    const ran = await runner({
      dbClient: client,
      dir: directory,
      direction: 'up',
      migrationsTable: 'gatehouse_migrations',
      singleTransaction: true,
      advisoryLockMode: 'wait',
      // What fails is thrown, and shown without the whole text of the migration.
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    });
    return ran.map((migration) => migration.name);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('database_unavailable', `The schema could not be brought up to date: ${why(cause)}.`, {
      cause,
    });
  } finally {
    await client.end();
  }
}

async function checkServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ number: number; version: string; may_create_roles: boolean }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
       (select rolcreaterole or rolsuper from pg_roles where rolname = current_user)
         or coalesce((select pg_has_role(current_user, oid, 'MEMBER') from pg_roles where rolname = 'gatehouse_app'), false)
         as may_create_roles`,
  );
  const server = rows[0];
  if (!server || server.number < leastServerVersion) {
    throw new AppError(
      'database_unavailable',
      `The database server is PostgreSQL ${server?.version ?? 'of an unknown version'}; Gatehouse needs 15 or newer. Upgrade it, or leave DATABASE_URL unset to use the embedded server.`,
    );
  }
  if (!server.may_create_roles) {
    throw new AppError(
      'database_unavailable',
      'The role in DATABASE_URL may neither create nor enter the application role. As a superuser, run once either ALTER ROLE <role> CREATEROLE, or CREATE ROLE gatehouse_app NOLOGIN (unless it exists) and GRANT gatehouse_app TO <role>.',
    );
  }
}

function why(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return why(cause.errors[0]);
  return cause instanceof Error ? cause.message : String(cause);
}
