import { AsyncLocalStorage } from 'node:async_hooks';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type Transaction,
} from 'kysely';

/**
 * One transaction that everything done within `run` takes part in, however many transactions it thinks that it makes:
 * each of those becomes a savepoint, which is rolled back by itself when its work throws. Those that are begun side by side
 * come one after the other.
 */
export interface JoinedTransaction {
  run<T>(work: () => T): T;
  /** Waits for what is at work in it. What comes afterwards, even within `run`, is a transaction of its own again. */
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface JoinedTransactions {
  /** @param onBehalf what the audit log is told; empty: nothing. */
  begin(onBehalf: string): Promise<JoinedTransaction>;
  /** The innermost transaction that the work at hand takes part in. */
  current(): Session | null;
  /** What `work` does takes part in nothing. */
  apart<T>(work: () => T): T;
  stop(): Promise<void>;
}

/** Who a session's statements are made as: the role, and the settings that row-level security looks at. */
export interface SessionSettings {
  readonly role: string;
  readonly tenantId: string;
  readonly readerTokens: string;
}

const owner: SessionSettings = { role: 'none', tenantId: '', readerTokens: '' };
/** Longer than any statement may take: whoever waits longer would wait for ever. */
const longestTurnMs = 60_000;

export function createJoinedTransactions(dialect: Dialect): JoinedTransactions {
  const driver = dialect.createDriver();
  let ready: Promise<void> | null = null;
  const here = new AsyncLocalStorage<Session | null>();
  const current = () => {
    const session = here.getStore() ?? null;
    return session?.base.open ? session : null;
  };

  return {
    current,
    apart: (work) => here.run(null, work),
    async begin(onBehalf) {
      ready ??= driver.init();
      await ready;
      const connection = await driver.acquireConnection();
      try {
        await driver.beginTransaction(connection, {});
        if (onBehalf !== '') await tell(connection, onBehalf);
      } catch (error) {
        await driver.rollbackTransaction(connection).catch(() => {});
        await driver.releaseConnection(connection);
        throw error;
      }
      const base: Base = { connection, here, open: true, speaking: null, savepoints: 0 };
      const root = new Session(base, null, owner);
      const end = (how: (connection: DatabaseConnection) => Promise<void>) => async () => {
        const release = await root.takeTurn();
        if (!base.open) return release();
        try {
          await how(connection);
        } finally {
          base.open = false;
          release();
          await driver.releaseConnection(connection);
        }
      };
      return {
        run: (work) => here.run(root, work),
        commit: end((c) => driver.commitTransaction(c)),
        rollback: end((c) => driver.rollbackTransaction(c).catch(() => {})),
      };
    },
    async stop() {
      if (ready === null) return;
      await ready;
      await driver.destroy();
    },
  };
}

const tell = (connection: DatabaseConnection, onBehalf: string) =>
  connection.executeQuery(CompiledQuery.raw("select set_config('gatehouse.audit', $1, true)", [onBehalf]));

interface Base {
  readonly connection: DatabaseConnection;
  readonly here: AsyncLocalStorage<Session | null>;
  open: boolean;
  /** Whose settings hold on the connection now; null: not known. */
  speaking: Session | null;
  savepoints: number;
}

/**
 * A transaction within the joined one, or the joined one itself. One thing at a time is done in it, a statement or a
 * transaction further in, so savepoints are always nested rightly; and each statement is made under its own session's
 * settings, whatever was done on the connection before.
 */
export class Session {
  readonly base: Base;
  readonly #parent: Session | null;
  readonly #settings: SessionSettings;
  #turn: Promise<void> = Promise.resolve();

  constructor(base: Base, parent: Session | null, settings: SessionSettings) {
    this.base = base;
    this.#parent = parent;
    this.#settings = settings;
  }

  /** Runs `work` in a savepoint under these settings. */
  async inTransaction<T>(
    settings: SessionSettings,
    work: (tx: Transaction<unknown>) => Promise<T>,
  ): Promise<T> {
    const inner = new Session(this.base, this, settings);
    const end = await inner.begin();
    try {
      const tx = over(inner).transaction();
      const result = await this.base.here.run(inner, () => tx.execute(work));
      await end('release');
      return result;
    } catch (error) {
      await end('roll back');
      throw error;
    }
  }

  /** Waits for the turn in the session around this one, then sets the savepoint. @returns what ends both. */
  async begin(): Promise<(how: 'release' | 'roll back') => Promise<void>> {
    const { base } = this;
    const release = (await this.#parent?.takeTurn()) ?? (() => {});
    const name = `joined_${++base.savepoints}`;
    let ended = false;
    try {
      if (!base.open) throw new Error('the transaction that this took part in has ended');
      await this.#plainly(`savepoint ${name}`);
    } catch (error) {
      release();
      throw error;
    }
    return async (how) => {
      if (ended) return;
      ended = true;
      try {
        if (how === 'roll back') {
          // Settings made since the savepoint are undone with it.
          base.speaking = null;
          await this.#plainly(`rollback to savepoint ${name}`).catch(() => {});
        }
        await this.#plainly(`release savepoint ${name}`).catch((error) => {
          if (how === 'release') throw error;
        });
      } finally {
        release();
      }
    };
  }

  /** One statement of this session. */
  async execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    // What is done further in may use this session, too: its turn is this one's.
    if (this.#holds(this.base.here.getStore() ?? null)) return this.#speak(query);
    const release = await this.takeTurn();
    try {
      return await this.#speak<R>(query);
    } finally {
      release();
    }
  }

  /** @returns what ends the turn. */
  async takeTurn(): Promise<() => void> {
    const before = this.#turn;
    let release = () => {};
    this.#turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('a transaction waits for itself')), longestTurnMs);
    });
    try {
      await Promise.race([before, late]);
    } catch (error) {
      release();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return release;
  }

  async #speak<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { base } = this;
    if (!base.open) throw new Error('the transaction that this took part in has ended');
    if (base.speaking !== this) {
      base.speaking = null;
      const { role, tenantId, readerTokens } = this.#settings;
      await base.connection.executeQuery(
        CompiledQuery.raw(
          `select set_config('role', $1, true), set_config('gatehouse.tenant_id', $2, true),
            set_config('gatehouse.reader_tokens', $3, true)`,
          [role, tenantId, readerTokens],
        ),
      );
      base.speaking = this;
    }
    return base.connection.executeQuery<R>(query);
  }

  #plainly(text: string) {
    return this.base.connection.executeQuery(CompiledQuery.raw(text));
  }

  #holds(session: Session | null): boolean {
    for (let s = session?.base === this.base ? session.#parent : null; s !== null; s = s.#parent) {
      if (s === this) return true;
    }
    return false;
  }
}

function over(session: Session): Kysely<unknown> {
  const connection = connectionOf((query) => session.execute(query));
  const nothing = async () => {};
  return new Kysely<unknown>({
    dialect: {
      createDriver: () => ({
        init: nothing,
        acquireConnection: async () => connection,
        beginTransaction: nothing,
        commitTransaction: nothing,
        rollbackTransaction: nothing,
        releaseConnection: nothing,
        destroy: nothing,
      }),
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (database) => new PostgresIntrospector(database),
    },
  });
}

function connectionOf(
  executeQuery: <R>(query: CompiledQuery) => Promise<QueryResult<R>>,
): DatabaseConnection {
  return {
    executeQuery,
    streamQuery: () => {
      throw new Error('nothing is streamed within a joined transaction');
    },
  };
}

/** A dialect whose every connection takes part in the joined transaction at hand, when there is one, as the owner role. */
export function joining(dialect: Dialect, joined: JoinedTransactions): Dialect {
  return {
    createDriver: () => joiningDriver(dialect.createDriver(), joined),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (database) => dialect.createIntrospector(database),
  };
}

interface Taken {
  session: Session;
  end: ((how: 'release' | 'roll back') => Promise<void>) | null;
}

function joiningDriver(driver: Driver, joined: JoinedTransactions): Driver {
  const taken = new WeakMap<DatabaseConnection, Taken>();

  const join = (around: Session): DatabaseConnection => {
    const session = new Session(around.base, around, owner);
    const state: Taken = { session, end: null };
    const connection = connectionOf(async <R>(query: CompiledQuery) => {
      if (state.end !== null) return session.execute<R>(query);
      // A statement by itself that fails must not take the whole with it.
      const end = await session.begin();
      try {
        const result = await session.execute<R>(query);
        await end('release');
        return result;
      } catch (error) {
        await end('roll back');
        throw error;
      }
    });
    taken.set(connection, state);
    return connection;
  };

  const finish = async (state: Taken, how: 'release' | 'roll back') => {
    const { end } = state;
    state.end = null;
    await end?.(how);
  };

  return {
    init: () => driver.init(),
    async acquireConnection() {
      const around = joined.current();
      return around === null ? driver.acquireConnection() : join(around);
    },
    async beginTransaction(connection, settings) {
      const state = taken.get(connection);
      if (state === undefined) return driver.beginTransaction(connection, settings);
      state.end = await state.session.begin();
    },
    async commitTransaction(connection) {
      const state = taken.get(connection);
      return state === undefined ? driver.commitTransaction(connection) : finish(state, 'release');
    },
    async rollbackTransaction(connection) {
      const state = taken.get(connection);
      return state === undefined ? driver.rollbackTransaction(connection) : finish(state, 'roll back');
    },
    async releaseConnection(connection) {
      const state = taken.get(connection);
      return state === undefined ? driver.releaseConnection(connection) : finish(state, 'roll back');
    },
    destroy: () => driver.destroy(),
  };
}
