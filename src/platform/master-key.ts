import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from './errors.ts';
import type { Random } from './random.ts';

/**
 * The configured master key, else the one in the data directory, else a new one written there with mode 0600.
 * The file appears complete or not at all: it is written beside its place and linked into it.
 * @returns 32 bytes.
 * @throws AppError `data_directory` when the file is there and does not hold 32 bytes in base64.
 */
export function resolveMasterKey(configured: Buffer | null, dataDir: string, random: Random): Buffer {
  if (configured) return configured;
  const path = keyFile(dataDir);
  const present = readKey(path);
  if (present) return present;
  const draft = `${path}.${random.bytes(6).toString('hex')}`;
  const fd = openSync(draft, 'wx', 0o600);
  try {
    writeSync(fd, `${random.bytes(32).toString('base64')}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  try {
    linkSync(draft, path);
  } catch (error) {
    // Another process was first; its key is the key.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  const written = readKey(path);
  if (!written) throw new AppError('data_directory', `${path} was removed while it was being written.`);
  return written;
}

/**
 * The master key in the data directory, without making one.
 * @returns null when there is none.
 * @throws AppError `data_directory` as `resolveMasterKey` does.
 */
export function readMasterKey(dataDir: string): Buffer | null {
  return readKey(keyFile(dataDir));
}

const keyFile = (dataDir: string) => join(dataDir, 'master.key');

function readKey(path: string): Buffer | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('data_directory', `The master key ${path} cannot be read. Check who owns the file.`, {
      cause,
    });
  }
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== 32) {
    throw new AppError(
      'data_directory',
      `The master key ${path} is damaged: it must hold 32 bytes in base64. Put the original back from a backup; without it the stored provider keys cannot be opened.`,
    );
  }
  return key;
}
