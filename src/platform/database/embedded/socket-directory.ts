import {
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rm,
  rmdir,
  symlink,
  unlink,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../../errors.ts';
import type { ServerUser } from './server-user.ts';
import { socketPort } from './settings.ts';

/** The longest path a socket can have, in bytes without the final zero: unix(7), and <sys/un.h> on macOS. */
const longestSocketPath = process.platform === 'darwin' ? 103 : 107;

export const socketPath = (socketDirectory: string) => join(socketDirectory, `.s.PGSQL.${socketPort}`);

const fitsSocket = (socketDirectory: string) =>
  Buffer.byteLength(socketPath(socketDirectory)) <= longestSocketPath;

/** In the data directory: the sockets' directory itself, or a link to it where the path would be too long. */
const socketDirectoryEntry = (dataDir: string) => join(dataDir, 'run');

/**
 * Gives a directory of mode 0700, owned by the server's user, in which the server makes its socket.
 *
 * It is `run` in the data directory. Where that path is too long for a socket it is a directory with an unguessable
 * name among the system's temporary files, and `run` is a link to it, by which the next start finds it again. A
 * directory found by that link is used only if it still is one of ours: another user could have made one in its place
 * after it was swept away.
 */
export async function prepareSocketDirectory(dataDir: string, user: ServerUser): Promise<string> {
  const entry = socketDirectoryEntry(dataDir);
  return fitsSocket(entry) ? inDataDirectory(entry, user) : inTemporaryFiles(entry, user);
}

/** Removes what a killed server left; the caller makes sure that none runs. */
export async function clearSocketDirectory(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { force: true });
}

/** Where the socket of an earlier start is, or null. Changes nothing. */
export async function findSocketDirectory(dataDir: string): Promise<string | null> {
  const entry = socketDirectoryEntry(dataDir);
  const stats = await lstat(entry).catch(() => null);
  if (stats === null) return null;
  return stats.isSymbolicLink() ? readlink(entry) : entry;
}

async function inDataDirectory(entry: string, user: ServerUser): Promise<string> {
  if (!(await isOurs(entry, user))) {
    await rm(entry, { recursive: true, force: true });
    await mkdir(entry, { mode: 0o700 });
    await own(entry, user);
  }
  return entry;
}

async function inTemporaryFiles(entry: string, user: ServerUser): Promise<string> {
  const known = await readlink(entry).catch(() => null);
  if (known !== null && fitsSocket(known) && (await isOurs(known, user))) return known;
  const made = await makeTemporary();
  await own(made, user);
  await rm(entry, { recursive: true, force: true });
  await symlink(made, entry);
  return made;
}

async function makeTemporary(): Promise<string> {
  for (const parent of [tmpdir(), '/tmp']) {
    if (!fitsSocket(join(parent, 'gatehouse-123456'))) continue;
    // mkdtemp makes it with mode 0700 and fails rather than take what is there.
    const made = await mkdtemp(join(parent, 'gatehouse-')).catch(() => null);
    if (made !== null) return made;
  }
  throw new AppError(
    'database_unavailable',
    'The path of the data directory is too long for a socket, and no directory for it could be made in ' +
      `${tmpdir()} or /tmp. Set GATEHOUSE_DATA_DIR to a shorter path.`,
  );
}

async function own(directory: string, user: ServerUser): Promise<void> {
  if (user.owner !== null) await chown(directory, user.owner.uid, user.owner.gid);
}

async function isOurs(directory: string, user: ServerUser): Promise<boolean> {
  const stats = await lstat(directory).catch(() => null);
  const uid = user.owner?.uid ?? process.geteuid?.();
  return stats?.isDirectory() === true && stats.uid === uid && (stats.mode & 0o777) === 0o700;
}

/** After a shutdown: removes the directory and its link where it was made among the temporary files. */
export async function removeTemporarySocketDirectory(dataDir: string): Promise<void> {
  const entry = socketDirectoryEntry(dataDir);
  const target = await readlink(entry).catch(() => null);
  if (target === null) return;
  // Only when empty: the server removed its socket, and what else is there is not ours.
  await rmdir(target).catch(() => {});
  await unlink(entry).catch(() => {});
}
