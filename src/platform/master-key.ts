import { closeSync, existsSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fixedMasterKeys, type MasterKeys, masterKeysInFile, readKeyFile } from './keyring/master-keys.ts';
import type { Random } from './random.ts';

/** Where the operator says that the master keys are. */
export interface MasterKeySettings {
  readonly masterKey: Buffer | null;
  /** Open what they sealed, and seal nothing. */
  readonly oldMasterKeys: readonly Buffer[];
  /** A file that all instances read. */
  readonly keyringFile: string | null;
}

/**
 * The configured master keys, else those in the data directory, else a new one written there with mode 0600 (ask
 * `refuseNewMasterKey` before).
 * The file appears complete or not at all: it is written beside its place and linked into it.
 * @throws AppError `data_directory` when the file is there and holds anything but keys of 32 bytes in base64.
 */
export function resolveMasterKeys(
  configured: MasterKeySettings,
  dataDir: string,
  random: Random,
): MasterKeys {
  const { masterKey, oldMasterKeys: more, keyringFile } = configured;
  if (masterKey) return fixedMasterKeys([masterKey, ...more]);
  if (keyringFile !== null) return masterKeysInFile(keyringFile, { isShared: true, random, more });
  const path = keyFile(dataDir);
  if (!existsSync(path)) makeKeyFile(path, random);
  return masterKeysInFile(path, { isShared: false, random, more });
}

function makeKeyFile(path: string, random: Random): void {
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
}

/**
 * The master keys in a file, without making one; by default the one in the data directory.
 * @returns null when there is none.
 * @throws AppError `data_directory` as `resolveMasterKeys` does.
 */
export function readMasterKeys(path: string): readonly Buffer[] | null {
  return existsSync(path) ? readKeyFile(path) : null;
}

export const keyFile = (dataDir: string) => join(dataDir, 'master.key');
