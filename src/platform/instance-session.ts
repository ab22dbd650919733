import pg from 'pg';
import { AppError } from './errors.ts';
import type { Log } from './log.ts';

/** An instance as its row says it. */
export interface InstanceRow {
  /** Of the process: another one after each start. */
  readonly id: string;
  /** Of the data directory: the same after each start. */
  readonly place: string;
  readonly host: string;
  readonly pid: number;
  /** Where it is reached; null when it does not say. */
  readonly address: string | null;
  readonly version: string;
  readonly hasRedis: boolean;
  /** Which Redis it uses, as that one says; null while it cannot be asked. */
  readonly redisServer: string | null;
  readonly startedAt: Date;
  /** By the database's clock; moves about once a second while the process lives. */
  readonly seenAt: Date;
  /** Whether a session holds its lock. */
  readonly live: boolean;
}

export type Registration = Pick<
  InstanceRow,
  'id' | 'place' | 'host' | 'pid' | 'address' | 'version' | 'hasRedis' | 'startedAt'
>;

/** The connection on which an instance holds its locks. Whoever loses it opens another. */
export interface InstanceSession {
  /**
   * Takes the lock of all, shared or exclusive, and then, once it has that, a row and the lock of its own.
   * @returns false when the lock of all cannot be had: somebody is there who does not bear company.
   */
  join(own: Registration): Promise<boolean>;
  /** The rows of all that live, and of those asked for by id that have one, oldest first. */
  instances(ids: readonly string[]): Promise<readonly InstanceRow[]>;
  /** Says that we live. @returns whether the session still holds our lock. */
  beat(id: string, redisServer: string | null): Promise<boolean>;
  /** A value that is the same for all instances of this database and for no others. */
  installation(): Promise<string>;
  /** Removes our row, so that the others need not guess, and gives the locks back. */
  leave(id: string): Promise<void>;
  /** Gives the connection up, and with it the locks; waits for nothing. */
  close(): void;
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>;
}

/** Stands for instances among the application's locks; the migration's view has it too. */
const lockClass = 1_196_705_640;
/** Numbers of instances begin at 1. */
const lockOfAll = 0;
/** Rows that tell of a process that ended without saying so are kept so long, for whoever asks what happened. */
const deadRowsKept = '1 day';
const queryTimeoutMs = 5_000;

/** @throws AppError `database_unavailable`. */
export async function openInstanceSession(url: string, log: Log): Promise<InstanceSession> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'gatehouse instance',
    connectionTimeoutMillis: queryTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    options: '-c statement_timeout=5000 -c timezone=UTC',
  });
  const ended = new Promise<void>((resolve) => {
    client.once('end', resolve);
    client.on('error', (error) => {
      log.warn({ err: error }, 'the connection that says that this instance lives was lost');
      resolve();
    });
  });
  try {
    await client.connect();
    await endSoonWhenHostVanishes(client);
  } catch (cause) {
    await client.end().catch(() => {});
    throw new AppError(
      'database_unavailable',
      'No connection to the database for the lock of this instance.',
      {
        cause,
      },
    );
  }

  const lock = async (kind: string, key: number): Promise<boolean> => {
    const { rows } = await client.query<{ held: boolean }>(`select ${kind}($1, $2) as held`, [
      lockClass,
      key,
    ]);
    return rows[0]?.held === true;
  };

  return {
    ended,

    async join(own) {
      await endOwnOldSession(client, own.id);
      const kind = own.hasRedis ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock';
      if (!(await lock(kind, lockOfAll))) return false;
      const number = await writeRow(client, own);
      if (await lock('pg_try_advisory_lock', number)) return true;
      throw new Error('the lock of this instance is held by another session');
    },

    async instances(ids) {
      const { rows } = await client.query<InstanceRow>(
        `select i.id, i.place, i.host, i.pid, i.address, i.version, i.has_redis as "hasRedis",
           i.redis_server as "redisServer", i.started_at as "startedAt", i.seen_at as "seenAt",
           l.id is not null as live
         from instances i left join live_instances l on l.id = i.id
         where l.id is not null or i.id = any($1::uuid[]) order by i.number`,
        [ids],
      );
      return rows;
    },

    async beat(id, redisServer) {
      const { rowCount } = await client.query(
        `update instances set seen_at = clock_timestamp(), redis_server = $2 where id = $1
           and exists (select from live_instances l where l.id = $1 and l.session_pid = pg_backend_pid())`,
        [id, redisServer],
      );
      return rowCount === 1;
    },

    async installation() {
      await client.query(
        `insert into platform_settings (name, value, updated_at)
         values ('installation', jsonb_build_object('id', gen_random_uuid()), now()) on conflict (name) do nothing`,
      );
      const { rows } = await client.query<{ id: string }>(
        `select value->>'id' as id from platform_settings where name = 'installation'`,
      );
      return rows[0]?.id ?? '';
    },

    async leave(id) {
      await client.query('delete from instances where id = $1', [id]).catch((error) => {
        log.warn(
          { err: error },
          'this instance could not say that it leaves; the others find out by themselves',
        );
      });
      await client.end().catch(() => {});
    },

    close() {
      // A connection into nothing does not say when it has ended.
      client.end().catch(() => {});
    },
  };
}

/**
 * The lock of a machine that lost its power or its network goes when the server gives its connection up, by these after
 * about 20 seconds instead of two hours. The session's own limit on idleness, if the server has one, is not for us.
 */
async function endSoonWhenHostVanishes(client: pg.Client): Promise<void> {
  const settings = {
    tcp_keepalives_idle: '5',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
    tcp_user_timeout: '20000',
    idle_session_timeout: '0',
  };
  for (const [name, value] of Object.entries(settings)) {
    // Not every system knows them all; where one is missing, it takes longer.
    await client.query('select set_config($1, $2, false)', [name, value]).catch(() => {});
  }
}

/** Only sessions of this very process ever held the lock of its number, and there is one at a time that counts. */
async function endOwnOldSession(client: pg.Client, id: string): Promise<void> {
  await client.query(
    'select pg_terminate_backend(session_pid) from live_instances where id = $1 and session_pid <> pg_backend_pid()',
    [id],
  );
}

async function writeRow(client: pg.Client, own: Registration): Promise<number> {
  await client.query(
    `delete from instances where seen_at < now() - $1::interval and id not in (select id from live_instances)`,
    [deadRowsKept],
  );
  const { rows } = await client.query<{ number: number }>(
    `insert into instances (id, place, host, pid, address, version, has_redis, started_at, seen_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
     on conflict (id) do update set seen_at = clock_timestamp() returning number`,
    [own.id, own.place, own.host, own.pid, own.address, own.version, own.hasRedis, own.startedAt],
  );
  return rows[0]?.number ?? 0;
}
