import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  PostgresDialect,
  type PostgresDialectConfig,
} from 'kysely';

/**
 * PostgreSQL as the owner role, whose every change inside a request is made in a transaction that says on whose behalf it
 * is: a statement by itself gets one of its own. The setting lasts for that transaction only, so that no proxy between
 * here and the server can hand it to somebody else's.
 */
export class OnBehalfDialect extends PostgresDialect {
  readonly #onBehalf: () => string;

  /** @param onBehalf what the audit log is told; empty outside of any request. */
  constructor(config: PostgresDialectConfig, onBehalf: () => string) {
    super(config);
    this.#onBehalf = onBehalf;
  }

  override createDriver(): Driver {
    return onBehalfDriver(super.createDriver(), this.#onBehalf);
  }
}

const reads = new Set(['SelectQueryNode']);

function onBehalfDriver(driver: Driver, onBehalf: () => string): Driver {
  const inTransaction = new WeakSet<DatabaseConnection>();
  const plain = new WeakMap<DatabaseConnection, DatabaseConnection>();
  const inner = (connection: DatabaseConnection) => plain.get(connection) ?? connection;
  const say = (connection: DatabaseConnection, who: string) =>
    connection.executeQuery(CompiledQuery.raw("select set_config('gatehouse.audit', $1, true)", [who]));

  const wrapped = (connection: DatabaseConnection): DatabaseConnection => {
    const speaking: DatabaseConnection = {
      async executeQuery(query) {
        const who = onBehalf();
        if (who === '' || inTransaction.has(speaking) || reads.has(query.query.kind)) {
          return connection.executeQuery(query);
        }
        await driver.beginTransaction(connection, {});
        try {
          await say(connection, who);
          const result = await connection.executeQuery<never>(query);
          await driver.commitTransaction(connection);
          return result;
        } catch (error) {
          await driver.rollbackTransaction(connection);
          throw error;
        }
      },
      streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
    };
    plain.set(speaking, connection);
    return speaking;
  };

  return {
    init: () => driver.init(),
    acquireConnection: async () => wrapped(await driver.acquireConnection()),
    async beginTransaction(connection, settings) {
      await driver.beginTransaction(inner(connection), settings);
      inTransaction.add(connection);
      const who = onBehalf();
      if (who !== '') await say(inner(connection), who);
    },
    async commitTransaction(connection) {
      inTransaction.delete(connection);
      await driver.commitTransaction(inner(connection));
    },
    async rollbackTransaction(connection) {
      inTransaction.delete(connection);
      await driver.rollbackTransaction(inner(connection));
    },
    releaseConnection: (connection) => driver.releaseConnection(inner(connection)),
    destroy: () => driver.destroy(),
    ...(driver.savepoint && {
      savepoint: (connection, ...given) =>
        driver.savepoint?.(inner(connection), ...given) ?? Promise.resolve(),
      rollbackToSavepoint: (connection, ...given) =>
        driver.rollbackToSavepoint?.(inner(connection), ...given) ?? Promise.resolve(),
      releaseSavepoint: (connection, ...given) =>
        driver.releaseSavepoint?.(inner(connection), ...given) ?? Promise.resolve(),
    }),
  };
}
