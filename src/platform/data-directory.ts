import { accessSync, constants, existsSync, mkdirSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  type DataDirectoryLock,
  inspectLock,
  type LockState,
  lockDataDirectory,
} from './data-directory-lock.ts';
import {
  type DataVersion,
  dataLayout,
  embeddedPostgresMajor,
  readVersion,
  versionFile,
  writeVersion,
} from './data-directory-version.ts';
import { AppError } from './errors.ts';

export interface DataDirectory extends DataDirectoryLock {
  /** Absolute. */
  readonly path: string;
}

/** Something about the directory that keeps Gatehouse from starting, or that its owner should know. */
export interface DataDirectoryFinding {
  readonly severity: 'error' | 'warning';
  readonly problem: string;
  readonly remedy: string;
}

export type ReportedFinding = DataDirectoryFinding & {
  readonly about: 'access' | 'version' | 'lock' | 'space';
};

export interface DataDirectoryReport {
  readonly path: string;
  readonly exists: boolean;
  readonly writable: boolean;
  readonly version: DataVersion | null;
  readonly lock: LockState;
  /** Bytes this user may still write, on the disk where the directory is or would be; null when not known. */
  readonly freeBytes: number | null;
  /** Empty when all is well. */
  readonly findings: readonly ReportedFinding[];
}

/** Below this, a start is likely to fail half-way: PostgreSQL alone writes 16 MB files ahead. */
const leastFreeBytes = 200 * 1024 * 1024;

/**
 * Makes the directory if need be (mode 0700), checks that this Gatehouse can use it, and locks it for this process.
 * @param path absolute or relative to the working directory.
 * @throws AppError `data_directory`, with the remedy, when it belongs to another user, cannot be written, was made by
 * another version, or is in use.
 */
export function openDataDirectory(path: string): DataDirectory {
  const directory = resolve(path);
  create(directory);
  refuseErrors(findAccessProblems(directory));
  let lock: DataDirectoryLock | undefined;
  try {
    lock = lockDataDirectory(directory);
    const { version, findings } = checkVersion(directory);
    refuseErrors(findings);
    if (version === null) writeVersion(directory);
    return { path: directory, release: lock.release };
  } catch (error) {
    lock?.release();
    throw asDataDirectoryError(directory, error);
  }
}

/** Looks at a data directory without creating, locking or changing anything. Never throws. */
export function inspectDataDirectory(path: string): DataDirectoryReport {
  const directory = resolve(path);
  const exists = existsSync(directory);
  const access = exists ? findAccessProblems(directory) : findParentProblems(directory);
  const readable = access.every((finding) => finding.severity !== 'error') && exists;
  const lock: LockState = readable ? inspectLock(directory) : { state: 'free' };
  const freeBytes = freeBytesAt(directory);
  const version = readable ? checkVersion(directory) : { version: null, findings: [] };
  return {
    path: directory,
    exists,
    writable: exists && isWritable(directory),
    version: version.version,
    lock,
    freeBytes,
    findings: [
      ...about('access', access),
      ...about('version', version.findings),
      ...about('lock', findLockProblems(lock)),
      ...about('space', findSpaceProblems(directory, freeBytes)),
    ],
  };
}

function about(what: ReportedFinding['about'], findings: readonly DataDirectoryFinding[]): ReportedFinding[] {
  return findings.map((finding) => ({ ...finding, about: what }));
}

function create(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw asDataDirectoryError(directory, cause);
  }
}

function findAccessProblems(directory: string): DataDirectoryFinding[] {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats === undefined) return [error(`${directory} cannot be read.`, chooseAnother)];
  if (!stats.isDirectory()) return [error(`${directory} is not a directory.`, chooseAnother)];
  const user = process.geteuid?.();
  // Root may hold a directory for someone: a volume of a container is made that way.
  if (user !== undefined && stats.uid !== user && stats.uid !== 0) {
    return [error(`${directory} belongs to another user (${stats.uid}, this is ${user}).`, ownIt(directory))];
  }
  if (!isWritable(directory)) {
    return [error(`${directory} cannot be written by this user.`, `Make it writable, or ${chooseAnother}`)];
  }
  return isOpenToOthers(stats)
    ? [warning(`Every user of this machine may write to ${directory}.`, `Run: chmod 700 ${directory}`)]
    : [];
}

/** For a directory that does not exist yet: whether it could be made. */
function findParentProblems(directory: string): DataDirectoryFinding[] {
  const parent = nearestExisting(directory);
  return isWritable(parent)
    ? []
    : [error(`${directory} does not exist and cannot be made in ${parent}.`, chooseAnother)];
}

function checkVersion(directory: string): { version: DataVersion | null; findings: DataDirectoryFinding[] } {
  try {
    const version = readVersion(directory);
    return { version, findings: version === null ? [] : findVersionProblems(directory, version) };
  } catch {
    const problem = `${versionFile(directory)} cannot be understood.`;
    return { version: null, findings: [error(problem, `Restore it from a backup, or ${chooseAnother}`)] };
  }
}

function findVersionProblems(directory: string, version: DataVersion): DataDirectoryFinding[] {
  if (version.layout !== dataLayout) {
    const age = version.layout > dataLayout ? 'a newer' : 'an older';
    const problem = `${directory} was made by ${age} Gatehouse (data layout ${version.layout}; this one knows ${dataLayout}).`;
    return [error(problem, `Run the Gatehouse that made it, or ${chooseAnother}`)];
  }
  // Without the embedded server's files it does not matter which PostgreSQL would have made them.
  if (version.postgresql !== embeddedPostgresMajor && existsSync(join(directory, 'postgres'))) {
    const problem = `${directory} holds a PostgreSQL ${version.postgresql} database; this Gatehouse brings PostgreSQL ${embeddedPostgresMajor}.`;
    return [
      error(problem, `Move the data with a dump made by the Gatehouse that made it, or ${chooseAnother}`),
    ];
  }
  return [];
}

function findLockProblems(lock: LockState): DataDirectoryFinding[] {
  if (lock.state === 'free') return [];
  if (lock.state === 'held') {
    const who =
      lock.holder === null ? 'a process that cannot be seen from here' : `process ${lock.holder.pid}`;
    return [
      warning(`A Gatehouse is running on this directory (${who}).`, 'Stop it before starting another.'),
    ];
  }
  return [
    warning(
      `Process ${lock.holder.pid} ended without a shutdown and left its lock behind.`,
      'Nothing to do: the next start takes it over and recovers.',
    ),
  ];
}

function findSpaceProblems(directory: string, freeBytes: number | null): DataDirectoryFinding[] {
  if (freeBytes === null || freeBytes >= leastFreeBytes) return [];
  const free = Math.floor(freeBytes / (1024 * 1024));
  return [
    error(`The disk of ${directory} is almost full: ${free} MB are free.`, `Make space, or ${chooseAnother}`),
  ];
}

function freeBytesAt(directory: string): number | null {
  try {
    const disk = statfsSync(nearestExisting(directory));
    return disk.bavail * disk.bsize;
  } catch {
    return null;
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const isOpenToOthers = (stats: Stats) => (stats.mode & 0o002) !== 0;

function refuseErrors(findings: readonly DataDirectoryFinding[]): void {
  const first = findings.find((finding) => finding.severity === 'error');
  if (first !== undefined) throw new AppError('data_directory', `${first.problem} ${first.remedy}`);
}

function asDataDirectoryError(directory: string, cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError(
      'data_directory',
      `The disk of ${directory} is full. Make space, or ${chooseAnother}`,
      {
        cause,
      },
    );
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError(
    'data_directory',
    `${directory} cannot be used (${why}). ${capitalised(chooseAnother)}`,
    {
      cause,
    },
  );
}

const chooseAnother = 'set GATEHOUSE_DATA_DIR to another directory.';
const ownIt = (directory: string) =>
  `Run Gatehouse as that user, or hand it over (chown -R $(id -u) ${directory}), or ${chooseAnother}`;
const capitalised = (sentence: string) => sentence.charAt(0).toUpperCase() + sentence.slice(1);
const error = (problem: string, remedy: string): DataDirectoryFinding => ({
  severity: 'error',
  problem,
  remedy: capitalised(remedy),
});
const warning = (problem: string, remedy: string): DataDirectoryFinding => ({
  severity: 'warning',
  problem,
  remedy,
});
