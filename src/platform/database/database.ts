import { type Kysely, Kysely as KyselyDatabase, PostgresDialect, sql, type Transaction } from 'kysely';
import pg from 'pg';
import type { Log } from '../log.ts';
import type { RequestContext } from '../request-context.ts';
import { expectLosses } from './expect-losses.ts';
import { createJoinedTransactions, type JoinedTransaction, joining } from './joined-transaction.ts';
import { OnBehalfDialect } from './on-behalf.ts';

/** Who a transaction is for; it decides what row-level security lets through. */
export interface DatabaseScope {
  readonly tenantId: string;
  /**
   * What the caller may read as: `role:analyst`, `group:hr`, `user:<id>`. A document with readers is visible to a
   * caller who holds one of them.
   */
  readonly readerTokens: readonly string[];
}

/** A transaction on whatever tables the store declares with `tx.withTables<…>()`. */
export type Tx = Transaction<unknown>;

export interface Database {
  /**
   * Runs `work` in one transaction as the application role, with row-level security set to the scope. This is the
   * only way tenant data is read or written for a caller. Rolled back whole when `work` throws.
   * @param reading `one_snapshot`: every statement sees the database as it was at the first one (repeatable read).
   */
  inTenant<T>(scope: DatabaseScope, work: (tx: Tx) => Promise<T>, reading?: 'one_snapshot'): Promise<T>;
  /**
   * Queries as the owner role, which sees every tenant: for migrations, snapshots, the ledger's writer and jobs.
   * Never for something a caller of one tenant asked for.
   */
  readonly platform: Kysely<unknown>;
  /**
   * Begins a transaction in which whatever is done within its `run`, by `inTenant` and by `platform`, takes part. It holds
   * a connection until it is committed or rolled back, which is the caller's to do.
   */
  begin(): Promise<JoinedTransaction>;
  /** Work that takes part in no joined transaction: what lasts even when that is rolled back. */
  apart<T>(work: () => T): T;
  /** One round trip as the application role. @throws when the server does not answer. */
  ping(): Promise<{ version: string; latencyMs: number }>;
  poolState(): { total: number; idle: number; waiting: number };
  stop(): Promise<void>;
}

export const applicationRole = 'gatehouse_app';

/** PostgreSQL's int8 as bigint: money and counters do not fit a double. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 && format !== 'binary'
      ? (text: string) => BigInt(text)
      : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

export interface DatabaseSettings {
  /** Connection string of the owner role. */
  readonly url: string;
  readonly pool: { readonly min: number; readonly max: number };
  readonly statementTimeoutMs: number;
  /** On whose behalf the work at hand is done, for the audit log. Absent: the platform's own. */
  readonly context?: Pick<RequestContext, 'current'>;
  readonly log: Log;
  readonly nowMs: () => number;
}

/** RUN-11: how long a request waits for a free connection before it fails. */
const acquisitionTimeoutMs = 30_000;
/** Snapshots, the ledger's writer and jobs need few connections: they work in batches. */
const platformPoolMax = 6;
/** Transactions that requests with an idempotency key hold from beginning to end; more of them wait. */
const joinedPoolMax = 8;

export function createDatabase(settings: DatabaseSettings): Database {
  const { log } = settings;
  const pool = (max: number, min: number, options: string, name: string) => {
    const created = new pg.Pool({
      connectionString: settings.url,
      max,
      min,
      options,
      application_name: name,
      connectionTimeoutMillis: acquisitionTimeoutMs,
      idleTimeoutMillis: 60_000,
      types,
    });
    expectLosses(created, (error) => log.warn({ err: error, pool: name }, 'a database connection was lost'));
    return created;
  };
  const timeout = `-c statement_timeout=${settings.statementTimeoutMs} -c timezone=UTC`;
  const applicationPool = pool(
    settings.pool.max,
    settings.pool.min,
    `-c role=${applicationRole} ${timeout} -c idle_in_transaction_session_timeout=60000`,
    'gatehouse',
  );
  // Batch work may take longer than a request, but never for ever.
  const platformPool = pool(
    platformPoolMax,
    1,
    '-c statement_timeout=60000 -c timezone=UTC',
    'gatehouse platform',
  );
  const application = new KyselyDatabase<unknown>({
    dialect: new PostgresDialect({ pool: applicationPool }),
  });
  const onBehalf = () => settings.context?.current() ?? '';
  const joinedPool = pool(
    joinedPoolMax,
    0,
    `${timeout} -c idle_in_transaction_session_timeout=60000`,
    'gatehouse joined',
  );
  const joined = createJoinedTransactions(new PostgresDialect({ pool: joinedPool }));
  const platform = new KyselyDatabase<unknown>({
    dialect: joining(new OnBehalfDialect({ pool: platformPool }, onBehalf), joined),
  });

  return {
    platform,
    begin: () => joined.begin(onBehalf()),
    apart: joined.apart,
    inTenant: (scope, work, reading) => {
      const around = joined.current();
      if (around !== null) return around.inTransaction(settingsOf(scope), work);
      const transaction = application.transaction();
      const isolated = reading === undefined ? transaction : transaction.setIsolationLevel('repeatable read');
      return isolated.execute(async (tx) => {
        await enter(tx, scope, onBehalf());
        return work(tx);
      });
    },
    async ping() {
      const before = settings.nowMs();
      const { rows } = await sql<{
        version: string;
      }>`select current_setting('server_version') as version`.execute(application);
      return { version: rows[0]?.version ?? 'unknown', latencyMs: settings.nowMs() - before };
    },
    poolState: () => ({
      total: applicationPool.totalCount,
      idle: applicationPool.idleCount,
      waiting: applicationPool.waitingCount,
    }),
    async stop() {
      await Promise.all([application.destroy(), platform.destroy(), joined.stop()]);
    },
  };
}

const settingsOf = ({ tenantId, readerTokens }: DatabaseScope) => ({
  role: applicationRole,
  tenantId,
  readerTokens: JSON.stringify(readerTokens),
});

/** Settings that last for this transaction only, so nothing of one caller is left for the next (`is_local`). */
async function enter(tx: Tx, scope: DatabaseScope, onBehalf: string): Promise<void> {
  await sql`select set_config('role', ${applicationRole}, true),
    set_config('gatehouse.tenant_id', ${scope.tenantId}, true),
    set_config('gatehouse.reader_tokens', ${JSON.stringify(scope.readerTokens)}, true),
    set_config('gatehouse.audit', ${onBehalf}, true)`.execute(tx);
}
