import type { Config } from '../platform/config.ts';
import { openDataDirectory } from '../platform/data-directory.ts';
import { createEmbeddedPostgres } from '../platform/database/embedded/index.ts';
import { migrate } from '../platform/database/migrate.ts';
import type { MasterKeys } from '../platform/keyring/master-keys.ts';
import { refuseNewMasterKey } from '../platform/keyring/refuse-new-master-key.ts';
import type { Log } from '../platform/log.ts';
import { resolveMasterKeys } from '../platform/master-key.ts';
import { systemRandom } from '../platform/random.ts';

/** What has to stand before anything of Gatehouse can be built: a data directory of our own and a current schema. */
export interface Foundation {
  /** Connection string of the owner role. */
  readonly databaseUrl: string;
  /** Whether the database is the one that comes with Gatehouse. */
  readonly isEmbedded: boolean;
  readonly masterKeys: MasterKeys;
  /** Absolute path; locked for this process. */
  readonly dataDirectory: string;
  /** Names of the migrations that ran now; empty when the schema was current. */
  readonly migrated: readonly string[];
  /** Stops the embedded server and gives the directory free, in this order. Idempotent. */
  close(): Promise<void>;
}

export interface FoundationOptions {
  /** Called when the embedded server kept ending by itself and is not started again. */
  readonly onDatabaseLost?: (lastWords: string) => void;
}

/**
 * Locks the data directory, starts the embedded PostgreSQL (or uses `DATABASE_URL`), brings the schema up to date and
 * finds or makes the master key. What was done is undone when a later step fails.
 * @throws AppError `data_directory`, `database_unavailable` or `config_invalid`, with the remedy.
 */
export async function openFoundation(
  config: Config,
  log: Log,
  options: FoundationOptions = {},
): Promise<Foundation> {
  const directory = openDataDirectory(config.dataDir);
  const undo: (() => Promise<void> | void)[] = [directory.release];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const database = await openDatabase(config, directory.path, log, options, undo);
    const migrated = await migrate(database, log);
    await refuseNewMasterKey(config.secrets, directory.path, database);
    return {
      databaseUrl: database,
      isEmbedded: config.databaseUrl === null,
      masterKeys: resolveMasterKeys(config.secrets, directory.path, systemRandom),
      dataDirectory: directory.path,
      migrated,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openDatabase(
  config: Config,
  dataDir: string,
  log: Log,
  options: FoundationOptions,
  undo: (() => Promise<void> | void)[],
): Promise<string> {
  if (config.databaseUrl !== null) return config.databaseUrl;
  const server = createEmbeddedPostgres({
    dataDir,
    log,
    ...(options.onDatabaseLost ? { onLost: options.onDatabaseLost } : {}),
  });
  // Before the start: one that fails half-way may leave a process behind.
  undo.push(server.stop);
  return (await server.start()).url;
}
