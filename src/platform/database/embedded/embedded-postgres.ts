import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { identifyProcess } from '../../process-identity.ts';
import { findBinaries } from './binaries.ts';
import { connectionTo, type EmbeddedConnection } from './connection.ts';
import { serverFailure } from './failure.ts';
import { databaseDirectory, initialiseDatabase } from './initialise.ts';
import { launchServer, type RunningServer } from './launch.ts';
import {
  findServerProcesses,
  isAnswering,
  readPostmasterFile,
  type StopBounds,
  stopServerProcesses,
} from './server-processes.ts';
import { chooseServerUser, type ServerUser } from './server-user.ts';
import { authenticationFiles, currentUserName, serverSettings } from './settings.ts';
import {
  clearSocketDirectory,
  findSocketDirectory,
  prepareSocketDirectory,
  removeTemporarySocketDirectory,
  socketPath,
} from './socket-directory.ts';
import { superviseServer } from './supervise.ts';

export interface EmbeddedPostgresDeps {
  /** Absolute; the caller holds its lock (`openDataDirectory`), so that there is one server on it at most. */
  readonly dataDir: string;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly clock?: Clock;
  /** PostgreSQL settings over the built-in ones; for tests and benchmarks. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly stopBounds?: StopBounds;
  /** Called when the server kept ending by itself and will not be started again. */
  readonly onLost?: (lastWords: string) => void;
}

export interface EmbeddedPostgres {
  /**
   * Makes the database on the first call ever, stops a server that a killed process left behind, and starts one.
   * @returns how to connect as the owner of the database.
   * @throws AppError `database_unavailable` or `data_directory`, with the remedy.
   */
  start(): Promise<EmbeddedConnection & { readonly created: boolean }>;
  /**
   * Shuts the server down: all work saved within the first bound, by force after the last. A start under way is given
   * up. Idempotent.
   */
  stop(): Promise<void>;
}

export function createEmbeddedPostgres(deps: EmbeddedPostgresDeps): EmbeddedPostgres {
  const { dataDir, log } = deps;
  const clock = deps.clock ?? systemClock;
  const files = databaseDirectory(dataDir);
  let starting: { readonly abort: AbortController; readonly settled: Promise<void> } | undefined;
  let endSupervision: (() => Promise<void>) | undefined;

  /** Everything up to the point where a server can be launched. */
  async function prepare() {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const binaries = await findBinaries(dataDir);
    const user = await chooseServerUser(dataDir, binaries);
    if (await stopServerProcesses(files, clock, deps.stopBounds)) {
      log.warn({}, 'stopped the PostgreSQL server that an earlier, killed Gatehouse left running');
    }
    await refuseUnseenServer(dataDir);
    const { created } = await initialiseDatabase(dataDir, binaries, user);
    await writeAuthenticationFiles(files, user);
    const socketDirectory = await prepareSocketDirectory(dataDir, user);
    return { binaries, user, created, socketDirectory };
  }

  async function startOnce(signal: AbortSignal) {
    const { binaries, user, created, socketDirectory } = await prepare().catch((cause) => {
      throw cause instanceof AppError ? cause : serverFailure('cannot start', dataDir, String(cause), cause);
    });
    const settings = { ...serverSettings(socketDirectory), ...deps.settings };
    const launch = (giveUp: AbortSignal) =>
      launchAlone(async () => {
        // Sessions outlive a killed server by a moment; the next server must not meet them, nor what they left.
        await stopServerProcesses(files, clock, deps.stopBounds);
        await removeMisleadingPidFile(files);
        await clearSocketDirectory(socketDirectory);
        return launchServer({ dataDir, binaries, user, settings, clock, signal: giveUp });
      }, clock);
    const server = await launch(signal);
    endSupervision = superviseServer(server, { launch, clock, log, onLost: deps.onLost ?? (() => {}) });
    log.info({ pid: server.pid, created }, 'the embedded PostgreSQL is ready');
    return { ...connectionTo(socketDirectory), created };
  }

  async function start() {
    if (starting !== undefined) throw new Error('the embedded PostgreSQL is already started');
    const abort = new AbortController();
    const started = startOnce(abort.signal);
    starting = { abort, settled: started.then(() => {}).catch(() => {}) };
    return started;
  }

  async function stop() {
    if (starting === undefined) return;
    starting.abort.abort();
    await starting.settled;
    starting = undefined;
    await endSupervision?.();
    // After a start that failed there is nothing of ours to stop, and what is there may be another's.
    if (endSupervision !== undefined) await stopServerProcesses(files, clock, deps.stopBounds);
    endSupervision = undefined;
    await removeTemporarySocketDirectory(dataDir);
  }

  return { start, stop };
}

/**
 * Containers that share the directory share its sockets but not their process numbers, and PostgreSQL itself would
 * take such a neighbour for dead and damage its files.
 */
async function refuseUnseenServer(dataDir: string): Promise<void> {
  const directory = await findSocketDirectory(dataDir);
  if (directory === null || !(await isAnswering(socketPath(directory)))) return;
  throw new AppError(
    'data_directory',
    `A PostgreSQL server that cannot be seen from here, probably in another container, is running on ${dataDir}. ` +
      'Stop it first, or give this Gatehouse its own directory with GATEHOUSE_DATA_DIR.',
  );
}

/** PostgreSQL's own words when it finds another server, or what is left of one, on its files. */
const anotherServer = /lock file "[^"]*" already exists|pre-existing shared memory block .* is still in use/;
const launchTries = 10;
const pauseBetweenTriesMs = 200;

/**
 * A process that was killed just after it had launched a server leaves one that cannot be told from any other program
 * until it has found its files. PostgreSQL itself then refuses the second of the two; by the next try the first can
 * be seen and is stopped.
 */
async function launchAlone(launch: () => Promise<RunningServer>, clock: Clock): Promise<RunningServer> {
  for (let tries = 1; ; tries++) {
    try {
      return await launch();
    } catch (error) {
      const isTaken = error instanceof AppError && anotherServer.test(error.message);
      if (!isTaken || tries >= launchTries) throw error;
      await clock.sleep(pauseBetweenTriesMs);
    }
  }
}

/**
 * PostgreSQL discards the pid file of a dead process itself, and checks more while doing so. But it refuses to start
 * when the number now belongs to some other program, which happens easily after a restart of the machine.
 */
async function removeMisleadingPidFile(files: string): Promise<void> {
  const file = readPostmasterFile(files);
  if (file === null || identifyProcess(file.pid) === null) return;
  // A server enters its directory before it writes the file, so one that started meanwhile is found here.
  const servers = await findServerProcesses(files);
  if (servers.every((server) => server.pid !== file.pid))
    await rm(join(files, 'postmaster.pid'), { force: true });
}

async function writeAuthenticationFiles(files: string, user: ServerUser): Promise<void> {
  for (const [name, content] of Object.entries(authenticationFiles(currentUserName()))) {
    const beside = join(files, `${name}.new`);
    await writeFile(beside, content, { mode: 0o600 });
    if (user.owner !== null) await chown(beside, user.owner.uid, user.owner.gid);
    await rename(beside, join(files, name));
  }
}
