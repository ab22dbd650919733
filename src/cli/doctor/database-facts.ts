import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { Clock } from '../../platform/clock.ts';

export type DatabaseFacts =
  /** The embedded server, which runs only while Gatehouse does. */
  | { readonly state: 'not_running' }
  | { readonly state: 'unreachable'; readonly code: string; readonly message: string }
  | {
      readonly state: 'reached';
      readonly version: string;
      /** As PostgreSQL counts: 150004 is 15.4. */
      readonly versionNumber: number;
      readonly latencyMs: number;
      readonly role: string;
      /** Whether the application role can be made, or is there and may be used. */
      readonly rights: RoleRights;
      readonly schema: SchemaState;
      /** Of the master key that sealed the stored secrets; null when none is recorded yet. */
      readonly masterKeyFingerprint: string | null;
      /** Ids of the key-encryption keys that stored data keys are wrapped by. */
      readonly keksInUse: readonly string[];
      /** Who serves from it now. */
      readonly instances: readonly InstanceSeen[];
    };

export interface InstanceSeen {
  readonly host: string;
  readonly pid: number;
  readonly hasRedis: boolean;
}

export interface RoleRights {
  readonly isSuperuser: boolean;
  readonly mayCreateRoles: boolean;
  readonly applicationRoleExists: boolean;
  readonly mayBeApplicationRole: boolean;
  readonly mayCreateTables: boolean;
  /** The role that made Gatehouse's tables, when it is another one whose rights this one does not have; else null. */
  readonly foreignOwner: string | null;
}

export interface SchemaState {
  /** False: nothing of Gatehouse is in this database yet. */
  readonly exists: boolean;
  readonly pending: readonly string[];
  /** Changes that this version does not know: made by a newer one. */
  readonly unknown: readonly string[];
}

const connectWithinMs = 5_000;
const queryWithinMs = 5_000;
const migrationsFolder = fileURLToPath(new URL('../../../migrations', import.meta.url));

/** Looks at a database without changing it. Never throws. */
export async function inspectDatabase(
  url: string,
  clock: Pick<Clock, 'monotonicMs'>,
): Promise<DatabaseFacts> {
  let client: pg.Client | undefined;
  try {
    client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: connectWithinMs,
      statement_timeout: queryWithinMs,
      query_timeout: queryWithinMs,
      application_name: 'gatehouse doctor',
    });
    // An unheard event of a connection that breaks would end the process.
    client.on('error', () => {});
    await client.connect();
    await client.query('set default_transaction_read_only = on');
    return await look(client, clock);
  } catch (error) {
    return unreachable(error);
  } finally {
    await client?.end().catch(() => {});
  }
}

interface ServerRow {
  version: string;
  version_number: number;
  role: string;
  is_superuser: boolean;
  may_create_roles: boolean;
  application_role_exists: boolean;
  may_be_application_role: boolean;
  may_create_tables: boolean;
  foreign_owner: string | null;
  has_migrations: boolean;
  has_settings: boolean;
  has_instances: boolean;
  has_data_keys: boolean;
}

async function look(client: pg.Client, clock: Pick<Clock, 'monotonicMs'>): Promise<DatabaseFacts> {
  const before = clock.monotonicMs();
  await client.query('select 1');
  const latencyMs = clock.monotonicMs() - before;
  const { rows } = await client.query<ServerRow>(`
    select current_setting('server_version') as version,
      current_setting('server_version_num')::int as version_number,
      rolname as role, rolsuper as is_superuser, rolcreaterole as may_create_roles,
      app.oid is not null as application_role_exists,
      coalesce(pg_has_role(current_user, app.oid, 'MEMBER'), false) as may_be_application_role,
      has_schema_privilege('public', 'CREATE') as may_create_tables,
      (select pg_get_userbyid(relowner) from pg_class
        where oid = to_regclass('gatehouse_migrations') and not pg_has_role(current_user, relowner, 'USAGE')
      ) as foreign_owner,
      to_regclass('gatehouse_migrations') is not null as has_migrations,
      to_regclass('platform_settings') is not null as has_settings,
      to_regclass('live_instances') is not null as has_instances,
      to_regclass('data_keys') is not null as has_data_keys
    from pg_roles left join (select oid from pg_roles where rolname = 'gatehouse_app') as app on true
    where rolname = current_user`);
  const server = rows[0];
  if (!server) return { state: 'unreachable', code: '', message: 'the server does not know its own role' };
  const isReadable = server.foreign_owner === null;
  const applied =
    server.has_migrations && isReadable ? await names(client, 'select name from gatehouse_migrations') : [];
  const fingerprints =
    server.has_settings && isReadable
      ? await names(
          client,
          `select value ->> 'fingerprint' as name from platform_settings where name = 'master_key_fingerprint'`,
        )
      : [];
  const keksInUse =
    server.has_data_keys && isReadable
      ? await names(client, 'select distinct kek_id as name from data_keys order by 1 limit 1000')
      : [];
  const instances =
    server.has_instances && isReadable
      ? await client.query<InstanceSeen>(
          'select host, pid, has_redis as "hasRedis" from live_instances order by number',
        )
      : { rows: [] };
  return {
    state: 'reached',
    version: server.version,
    versionNumber: server.version_number,
    latencyMs,
    role: server.role,
    rights: {
      isSuperuser: server.is_superuser,
      mayCreateRoles: server.may_create_roles,
      applicationRoleExists: server.application_role_exists,
      mayBeApplicationRole: server.may_be_application_role,
      mayCreateTables: server.may_create_tables,
      foreignOwner: server.foreign_owner,
    },
    schema: schemaState(server.has_migrations, await shippedMigrations(), applied),
    masterKeyFingerprint: fingerprints[0] ?? null,
    keksInUse,
    instances: instances.rows,
  };
}

async function names(client: pg.Client, query: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string | null }>(query);
  return rows.flatMap(({ name }) => (name === null ? [] : [name]));
}

async function shippedMigrations(): Promise<string[]> {
  const files = await readdir(migrationsFolder);
  return files.filter((file) => file.endsWith('.sql')).map((file) => file.slice(0, -'.sql'.length));
}

/** Compares what this version brings with what the database has been through. */
export function schemaState(
  exists: boolean,
  shipped: readonly string[],
  applied: readonly string[],
): SchemaState {
  return {
    exists,
    pending: shipped.filter((name) => !applied.includes(name)).sort(),
    unknown: applied.filter((name) => !shipped.includes(name)).sort(),
  };
}

function unreachable(error: unknown): DatabaseFacts {
  // A name with several addresses fails once for each.
  const first = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  const { code, message } = first as NodeJS.ErrnoException;
  return { state: 'unreachable', code: code ?? '', message: message || String(error) };
}
