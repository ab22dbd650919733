import { open, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { AppError } from '../errors.ts';

const mostBytes = 64 * 1024;

/**
 * Reads a secret from a file, without the newline at its end.
 * @param directories absolute: it must lie in one of them, whatever links lead there.
 * @throws AppError `dependency_down` that names the file and never what is in it.
 */
export async function readSecretFile(path: string, directories: readonly string[]): Promise<string> {
  try {
    const real = await realpath(path);
    const roots = await Promise.all(directories.map((directory) => realpath(directory).catch(() => null)));
    if (!roots.some((root) => root !== null && real.startsWith(root.endsWith(sep) ? root : root + sep))) {
      throw unreadable(path, 'it does not lie in a directory of GATEHOUSE_SECRET_DIRS');
    }
    const file = await open(real, 'r');
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw unreadable(path, 'it is not a file');
      if (stats.size > mostBytes) throw unreadable(path, 'it has more than 64 KB');
      const secret = (await file.readFile('utf8')).replace(/\r?\n$/, '');
      if (secret === '') throw unreadable(path, 'it is empty');
      return secret;
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw unreadable(path, code === 'ENOENT' ? 'there is none' : `reading it failed (${code})`, cause);
  }
}

function unreadable(path: string, why: string, cause?: unknown): AppError {
  return new AppError(
    'dependency_down',
    `The secret file:${path} cannot be read: ${why}.`,
    cause === undefined ? {} : { cause },
  );
}
