import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { identifyProcess, readProcessStat } from '../../process-identity.ts';
import { parsePostmasterFile } from './postmaster-file.ts';
import { runProgram } from './run-program.ts';

/** A process of a PostgreSQL server: the postmaster, or one of those it started. */
export interface ServerProcess {
  readonly pid: number;
  readonly isPostmaster: boolean;
}

/**
 * Finds the processes of a server that runs on exactly these database files. The pid file alone cannot tell: its
 * number may have gone to another program since, and it may be missing while a server still runs.
 */
export async function findServerProcesses(databaseDirectory: string): Promise<ServerProcess[]> {
  return process.platform === 'linux' ? findInProc(databaseDirectory) : findByPidFile(databaseDirectory);
}

/** Every PostgreSQL process works in its database directory, which the kernel shows as `cwd`. */
function findInProc(databaseDirectory: string): ServerProcess[] {
  const directory = statSync(databaseDirectory, { throwIfNoEntry: false });
  if (directory === undefined) return [];
  const found = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = readProcessStat(pid);
    if (stat?.name !== 'postgres' || stat.state === 'Z') continue;
    if (worksIn(pid, directory)) found.set(pid, stat.parentPid);
  }
  return [...found].map(([pid, parentPid]) => ({ pid, isPostmaster: !found.has(parentPid) }));
}

function worksIn(pid: number, directory: { dev: number; ino: number }): boolean {
  try {
    const cwd = statSync(`/proc/${pid}/cwd`);
    return cwd.dev === directory.dev && cwd.ino === directory.ino;
  } catch {
    return false; // Ended meanwhile, or another user's and therefore not on our files.
  }
}

async function findByPidFile(databaseDirectory: string): Promise<ServerProcess[]> {
  const file = readPostmasterFile(databaseDirectory);
  if (file === null || identifyProcess(file.pid) === null) return [];
  const { output } = await runProgram('/bin/ps', ['-o', 'command=', '-p', String(file.pid)], {
    environment: {},
    timeoutMs: 5_000,
  });
  return output.includes('postgres') && output.includes(databaseDirectory)
    ? [{ pid: file.pid, isPostmaster: true }]
    : [];
}

export function readPostmasterFile(databaseDirectory: string): ReturnType<typeof parsePostmasterFile> {
  try {
    return parsePostmasterFile(readFileSync(join(databaseDirectory, 'postmaster.pid'), 'utf8'));
  } catch {
    return null;
  }
}

/** How long each way of stopping gets. */
export interface StopBounds {
  readonly fastMs: number;
  readonly immediateMs: number;
  readonly killMs: number;
}

const defaultStopBounds: StopBounds = { fastMs: 10_000, immediateMs: 5_000, killMs: 5_000 };

const pollMs = 10;

/**
 * Stops every server process on these files: first a fast shutdown, which saves all work, then an immediate one,
 * after which the next start replays the log, at last by force.
 * @returns false when there was none.
 * @throws AppError `database_unavailable` when something survives even that.
 */
export async function stopServerProcesses(
  databaseDirectory: string,
  clock: Clock,
  bounds: StopBounds = defaultStopBounds,
): Promise<boolean> {
  const steps: [NodeJS.Signals, number, boolean][] = [
    ['SIGINT', bounds.fastMs, true],
    ['SIGQUIT', bounds.immediateMs, true],
    ['SIGKILL', bounds.killMs, false],
  ];
  let left = await findServerProcesses(databaseDirectory);
  if (left.length === 0) return false;
  for (const [signal, waitMs, postmasterOnly] of steps) {
    // Of an orphaned session SIGINT would only cancel a statement, but it ends by itself when it misses its postmaster.
    for (const { pid, isPostmaster } of left) if (isPostmaster || !postmasterOnly) signalIfThere(pid, signal);
    const deadline = clock.monotonicMs() + waitMs;
    while (left.length > 0 && clock.monotonicMs() < deadline) {
      await clock.sleep(pollMs);
      left = await findServerProcesses(databaseDirectory);
    }
    if (left.length === 0) return true;
  }
  throw new AppError(
    'database_unavailable',
    `An earlier PostgreSQL server on ${databaseDirectory} does not end: process ${left.map((p) => p.pid).join(', ')}. ` +
      'End it, then start again.',
  );
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const connectTimeoutMs = 1_000;

/**
 * Whether someone answers on the socket. After `findServerProcesses` found nothing, an answer means a server that
 * cannot be seen from here, such as one in another container that shares the directory.
 */
export function isAnswering(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const finish = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(connectTimeoutMs, () => finish(true)); // Neither refused nor absent: someone listens.
    socket.on('connect', () => finish(true));
    socket.on('error', () => finish(false));
  });
}
