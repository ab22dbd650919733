import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedPostgresMajor } from '../../data-directory-version.ts';
import { AppError } from '../../errors.ts';
import type { PostgresBinaries } from './binaries.ts';
import { serverFailure } from './failure.ts';
import { programEnvironment, runAs, type ServerUser } from './server-user.ts';
import { databaseName, ownerRole, superuser } from './settings.ts';

export const databaseDirectory = (dataDir: string) => join(dataDir, 'postgres');

/** Half-made databases; whatever is found under this name belongs to a start that did not finish. */
const unfinished = 'postgres.unfinished-';
/** Takes 1 s on an idle machine; a slow or busy disk may need far more. */
const initialisationTimeoutMs = 180_000;

/**
 * Makes the database files unless they are there. They are made under another name and renamed when complete, so
 * that a process killed at any moment leaves either a whole database or a leftover that the next start removes.
 * @throws AppError `database_unavailable` or, for files of another version, `data_directory`.
 */
export async function initialiseDatabase(
  dataDir: string,
  binaries: PostgresBinaries,
  user: ServerUser,
): Promise<{ readonly created: boolean }> {
  await removeUnfinished(dataDir);
  if (await isInitialised(dataDir)) return { created: false };
  const beside = join(dataDir, `${unfinished}${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(beside, { mode: 0o700 });
    if (user.owner !== null) await chown(beside, user.owner.uid, user.owner.gid);
    await makeCluster(beside, binaries, user);
    await makeRoleAndDatabase(beside, binaries, user);
    await rename(beside, databaseDirectory(dataDir));
    await syncDirectory(dataDir);
  } catch (cause) {
    await rm(beside, { recursive: true, force: true }).catch(() => {});
    throw cause instanceof AppError
      ? cause
      : serverFailure('could not be set up', dataDir, String(cause), cause);
  }
  return { created: true };
}

async function isInitialised(dataDir: string): Promise<boolean> {
  const directory = databaseDirectory(dataDir);
  const version = await readFile(join(directory, 'PG_VERSION'), 'utf8').catch(() => null);
  if (version !== null) {
    if (Number(version.trim()) === embeddedPostgresMajor) return true;
    throw new AppError(
      'data_directory',
      `${directory} holds a PostgreSQL ${version.trim()} database; this Gatehouse brings PostgreSQL ` +
        `${embeddedPostgresMajor}. Move the data with a dump made by the Gatehouse that made it, ` +
        'or set GATEHOUSE_DATA_DIR to another directory.',
    );
  }
  const found = await readdir(directory).catch(() => null);
  if (found === null) return false;
  if (found.length > 0) {
    throw new AppError(
      'data_directory',
      `${directory} is not a PostgreSQL database and is not empty. Move it away, or set GATEHOUSE_DATA_DIR to ` +
        'another directory.',
    );
  }
  await rmdir(directory);
  return false;
}

async function makeCluster(directory: string, binaries: PostgresBinaries, user: ServerUser): Promise<void> {
  const args = [
    ...['--pgdata', directory, '--username', superuser, '--encoding', 'UTF8', '--data-checksums'],
    // Unicode rules that come with PostgreSQL, so that no index depends on the machine's own locales.
    ...['--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
    ...['--auth-local', 'peer', '--auth-host', 'reject', '--no-instructions'],
  ];
  const { exitCode, output } = await runAs(user, binaries.initdb, args, {
    environment: programEnvironment(binaries),
    timeoutMs: initialisationTimeoutMs,
  });
  if (exitCode !== 0) throw serverFailure('could not be set up', directory, output);
}

/**
 * The owner role may make roles and databases but is no superuser: row-level security binds it, and it can read no
 * files. Single-user mode needs no running server and no way to log in.
 */
async function makeRoleAndDatabase(
  directory: string,
  binaries: PostgresBinaries,
  user: ServerUser,
): Promise<void> {
  const statements = [
    `CREATE ROLE ${ownerRole} LOGIN NOSUPERUSER CREATEROLE CREATEDB;`,
    `CREATE DATABASE ${databaseName} OWNER ${ownerRole};`,
  ];
  const args = [
    '--single',
    '-D',
    directory,
    '-c',
    'exit_on_error=on',
    '-c',
    'log_checkpoints=off',
    superuser,
  ];
  const { exitCode, output } = await runAs(user, binaries.postgres, args, {
    environment: programEnvironment(binaries),
    input: `${statements.join('\n')}\n`,
    timeoutMs: initialisationTimeoutMs,
  });
  if (exitCode !== 0) throw serverFailure('could not be set up', directory, output);
}

async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith(unfinished)) continue;
    // A program of the killed start may still be writing there, until it misses its files. What cannot be removed now
    // does no harm, because every start uses a new name, and goes at the next start.
    await rm(join(dataDir, name), { recursive: true, force: true }).catch(() => {});
  }
}

/** Makes a rename survive a power cut. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
