import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { PostgresBinaries } from './binaries.ts';
import { serverFailure } from './failure.ts';
import { databaseDirectory } from './initialise.ts';
import { openServerLog } from './server-log.ts';
import { readPostmasterFile } from './server-processes.ts';
import { commandLine, programEnvironment, type ServerUser } from './server-user.ts';
import { serverArguments } from './settings.ts';

export interface RunningServer {
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason, with what it said last. */
  readonly exited: Promise<string>;
  /** Keeps the log file within its bound; to be called now and then. */
  trimLog(): void;
}

export interface LaunchOptions {
  readonly dataDir: string;
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  readonly settings: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Gives up on a server that has not become ready and ends it. */
  readonly signal: AbortSignal;
}

/**
 * A server that was killed replays up to 1 GB of its log before it is ready, which takes seconds; this bound is for
 * a slow disk. Ending it earlier would only make the next start replay from the beginning.
 */
const readyWithinMs = 300_000;
const pollMs = 5;

/**
 * Starts a server on initialised files and waits until it takes connections.
 * @throws AppError `database_unavailable` with the server's last words when it does not come up.
 */
export async function launchServer(options: LaunchOptions): Promise<RunningServer> {
  const { dataDir, binaries, user, clock, signal } = options;
  const serverLog = openServerLog(dataDir);
  const args = serverArguments(databaseDirectory(dataDir), options.settings);
  const [command, ...rest] = commandLine(user, binaries.postgres, args);
  const child = spawn(command, rest, {
    cwd: '/',
    env: programEnvironment(binaries),
    // A session of its own: Ctrl-C is for Gatehouse, which still needs the server while it finishes its requests.
    detached: true,
    stdio: ['ignore', serverLog.fileDescriptor, serverLog.fileDescriptor],
    ...user.spawnAs,
  });
  child.unref();
  let ended = false;
  const exited = once(child, 'exit').then(
    () => serverLog.tail(),
    (error: Error) => error.message,
  );
  const closed = exited.then((lastWords) => {
    ended = true;
    serverLog.close();
    return lastWords;
  });
  const deadline = clock.monotonicMs() + readyWithinMs;
  while (!isReady(dataDir, child.pid)) {
    if (ended) throw serverFailure('did not start', dataDir, await closed);
    if (signal.aborted || clock.monotonicMs() > deadline) {
      child.kill('SIGKILL');
      await closed;
      throw new AppError('database_unavailable', 'The embedded PostgreSQL was ended before it was ready.');
    }
    await clock.sleep(pollMs);
  }
  return {
    pid: child.pid ?? 0,
    exited: closed,
    trimLog: () => {
      if (!ended) serverLog.trim();
    },
  };
}

/** The server says so in its pid file, as `pg_ctl` too looks it up; no connection is needed. */
function isReady(dataDir: string, pid: number | undefined): boolean {
  const file = readPostmasterFile(databaseDirectory(dataDir));
  return file !== null && file.pid === pid && file.status === 'ready';
}
