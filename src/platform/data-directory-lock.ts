import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError } from './errors.ts';
import { identifyProcess, type ProcessIdentity, stillRuns } from './process-identity.ts';

/**
 * One live Gatehouse per data directory.
 *
 * What decides is a lock of the operating system on `gatehouse.lock`, taken through SQLite because Node itself cannot
 * lock files. The kernel gives it up when its holder dies, however that happens, and it also holds between
 * containers that share the directory and cannot see each other's processes. So there is never a stale lock to judge
 * and no race for taking one over. `gatehouse.pid` beside it tells people who holds it; it is also heeded by itself,
 * so that deleting the lock file under a running server does not let a second one in.
 */
export interface DataDirectoryLock {
  /** Gives the directory free. Later calls do nothing. */
  release(): void;
}

export type LockState =
  | { readonly state: 'free' }
  /** `holder` is null when the holder cannot be told, for example because it runs in another container. */
  | { readonly state: 'held'; readonly holder: ProcessIdentity | null }
  /** Left by a process that ended without releasing it; the next start takes it over. */
  | { readonly state: 'stale'; readonly holder: ProcessIdentity };

const lockFile = (directory: string) => join(directory, 'gatehouse.lock');
const holderFile = (directory: string) => join(directory, 'gatehouse.pid');

/** A lock lives as long as its SQLite handle: this keeps handles from the garbage collector. */
const held = new Set<DatabaseSync>();

/** @throws AppError `data_directory` when another live process holds the directory. */
export function lockDataDirectory(directory: string): DataDirectoryLock {
  const handle = openLockFile(directory);
  const holder = readHolder(directory);
  if (handle === 'held' || (holder !== null && holder.pid !== process.pid && stillRuns(holder))) {
    if (handle !== 'held') handle.close();
    throw new AppError('data_directory', heldBy(directory, holder));
  }
  held.add(handle);
  try {
    writeHolder(directory);
  } catch (cause) {
    held.delete(handle);
    handle.close();
    throw cause;
  }
  return {
    release() {
      if (!held.delete(handle)) return;
      // The name first: while the lock is still held, the file can only be our own.
      rmSync(holderFile(directory), { force: true });
      handle.close();
    },
  };
}

/** Looks without taking or changing anything. */
export function inspectLock(directory: string): LockState {
  const holder = readHolder(directory);
  if (isLockedByAnyone(directory)) return { state: 'held', holder };
  if (holder === null) return { state: 'free' };
  return stillRuns(holder) ? { state: 'held', holder } : { state: 'stale', holder };
}

const sqliteBusy = 5;

function openLockFile(directory: string): DatabaseSync | 'held' {
  const handle = new DatabaseSync(lockFile(directory), { timeout: 0 });
  try {
    // Exclusive for good, though nothing is ever written: the file stays empty, and needs no journal beside it.
    handle.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return handle;
  } catch (cause) {
    handle.close();
    if ((cause as { errcode?: number }).errcode === sqliteBusy) return 'held';
    throw new AppError(
      'data_directory',
      `The file system of ${directory} does not lock files, so two servers could damage the data. ` +
        'Set GATEHOUSE_DATA_DIR to a directory on a local disk.',
      { cause },
    );
  }
}

function isLockedByAnyone(directory: string): boolean {
  if (!existsSync(lockFile(directory))) return false;
  let handle: DatabaseSync | undefined;
  try {
    handle = new DatabaseSync(lockFile(directory), { readOnly: true, timeout: 0 });
    handle.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (error) {
    return (error as { errcode?: number }).errcode === sqliteBusy;
  } finally {
    handle?.close();
  }
}

function readHolder(directory: string): ProcessIdentity | null {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(holderFile(directory), 'utf8'));
    return Number.isSafeInteger(pid)
      ? { pid, startedAt: typeof startedAt === 'string' ? startedAt : null }
      : null;
  } catch {
    return null;
  }
}

function writeHolder(directory: string): void {
  const identity = identifyProcess(process.pid) ?? { pid: process.pid, startedAt: null };
  const beside = `${holderFile(directory)}.new`;
  writeFileSync(beside, `${JSON.stringify(identity)}\n`, { mode: 0o600 });
  renameSync(beside, holderFile(directory));
}

function heldBy(directory: string, holder: ProcessIdentity | null): string {
  const who = holder === null ? 'Another Gatehouse' : `Another Gatehouse (process ${holder.pid})`;
  return (
    `${who} is running on the data directory ${directory}. Stop it first, ` +
    'or give this one its own directory with GATEHOUSE_DATA_DIR.'
  );
}
