import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectionTo, type EmbeddedConnection } from './connection.ts';
import { databaseDirectory } from './initialise.ts';
import { serverLogPath } from './server-log.ts';
import { findServerProcesses, readPostmasterFile } from './server-processes.ts';
import { findSocketDirectory } from './socket-directory.ts';

export interface EmbeddedPostgresReport {
  readonly initialised: boolean;
  /** The server that runs on these files now; `connection` is null until it is ready. */
  readonly running: { readonly pid: number; readonly connection: EmbeddedConnection | null } | null;
  readonly logPath: string;
}

/** Looks at the embedded server of a data directory without changing anything; for `doctor` and other commands. */
export async function inspectEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgresReport> {
  const files = databaseDirectory(dataDir);
  const version = await readFile(join(files, 'PG_VERSION'), 'utf8').catch(() => null);
  const postmaster = (await findServerProcesses(files)).find((found) => found.isPostmaster);
  const socketDirectory = await findSocketDirectory(dataDir);
  const file = readPostmasterFile(files);
  const isReady = socketDirectory !== null && file?.pid === postmaster?.pid && file?.status === 'ready';
  return {
    initialised: version !== null,
    running: postmaster
      ? { pid: postmaster.pid, connection: isReady ? connectionTo(socketDirectory) : null }
      : null,
    logPath: serverLogPath(dataDir),
  };
}
