import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AppError } from '../errors.ts';
import type { Random } from '../random.ts';

/** The keys of the local keyring, 32 bytes each, from wherever the operator keeps them. */
export interface MasterKeys {
  /** The first one wraps; all of them unwrap. Never empty. */
  keys(): readonly Buffer[];
  /** Reads them again where they can change while the process runs. Keeps what it had when they cannot be read. */
  reload(): void;
  /** Null: they come from variables, and only the operator can make another one. */
  readonly file: KeyFile | null;
}

export interface KeyFile {
  readonly path: string;
  /** Whether other instances read this very file. */
  readonly isShared: boolean;
  /** Behind the others: known, but not used yet. */
  append(key: Buffer): void;
  /** Puts a key that is there first. */
  promote(key: Buffer): void;
  remove(key: Buffer): void;
}

/** More would be a mistake: each rotation adds one, and those that wrap nothing any more can go. */
export const mostMasterKeys = 100;

export function fixedMasterKeys(keys: readonly Buffer[]): MasterKeys {
  return { keys: () => keys, reload: () => {}, file: null };
}

/**
 * A file of one key in base64 a line, the current one first. It is replaced whole, never written in place.
 * @param more keys from elsewhere that unwrap as well.
 * @throws AppError `data_directory` when it cannot be read, holds anything else, or is a shared one that everybody may read.
 */
export function masterKeysInFile(
  path: string,
  options: {
    readonly isShared: boolean;
    readonly random: Pick<Random, 'bytes'>;
    readonly more?: readonly Buffer[];
  },
): MasterKeys {
  const { more = [] } = options;
  const read = () => readKeyFile(path, options.isShared);
  let own = read();
  let writtenAtMs = statSync(path).mtimeMs;
  const write = (keys: readonly Buffer[]) => {
    replaceFile(path, `${keys.map((key) => key.toString('base64')).join('\n')}\n`, options.random);
    own = keys;
    writtenAtMs = statSync(path).mtimeMs;
  };
  /** As they are in the file now: another instance may have changed it. */
  const change = (to: (keys: readonly Buffer[]) => readonly Buffer[]) => write(to(read()));
  const without = (keys: readonly Buffer[], key: Buffer) => keys.filter((other) => !other.equals(key));
  return {
    keys: () => [...own, ...more],
    reload() {
      try {
        const changedAtMs = statSync(path).mtimeMs;
        if (changedAtMs === writtenAtMs) return;
        own = read();
        writtenAtMs = changedAtMs;
      } catch {
        // Whoever replaces the file may be in the middle of it; the next look will tell.
      }
    },
    file: {
      path,
      isShared: options.isShared,
      append(key) {
        change((keys) => {
          if (keys.length >= mostMasterKeys) {
            throw new AppError(
              'conflict',
              `The keyring file holds ${mostMasterKeys} keys. Remove lines of keys that wrap nothing any more (GET /api/v1/keyring shows those that do).`,
            );
          }
          return [...without(keys, key), key];
        });
      },
      promote: (key) => change((keys) => [key, ...without(keys, key)]),
      remove: (key) => change((keys) => without(keys, key)),
    },
  };
}

/**
 * @param mustBePrivate whether one that everybody may read is refused; of `master.key` doctor warns.
 * @throws AppError `data_directory`.
 */
export function readKeyFile(path: string, mustBePrivate = false): readonly Buffer[] {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    ({ mode } = statSync(path));
  } catch (cause) {
    throw new AppError(
      'data_directory',
      `The keyring file ${path} cannot be read. Check who owns the file.`,
      {
        cause,
      },
    );
  }
  if (mustBePrivate && (mode & 0o007) !== 0) {
    throw new AppError(
      'data_directory',
      `Every user of this machine can read the keyring file ${path}. Run: chmod 600 ${path}`,
    );
  }
  const keys = parseKeys(text);
  if (keys === null) throw damaged(path);
  return keys;
}

/** @returns null unless the text is 1 to 100 lines of 32 bytes in base64. */
export function parseKeys(text: string): readonly Buffer[] | null {
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
  const usable = keys.length > 0 && keys.length <= mostMasterKeys && keys.every((key) => key.length === 32);
  return usable ? keys : null;
}

export function damaged(path: string): AppError {
  return new AppError(
    'data_directory',
    `The master key ${path} is damaged: it must hold 32 bytes in base64, one key a line. Put the original back from a backup; without it the stored provider keys cannot be opened.`,
  );
}

/** After a crash the file is the old one or the new one. */
function replaceFile(path: string, text: string, random: Pick<Random, 'bytes'>): void {
  const draft = `${path}.${random.bytes(6).toString('hex')}`;
  const fd = openSync(draft, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  try {
    renameSync(draft, path);
  } catch (cause) {
    unlinkSync(draft);
    throw new AppError(
      'conflict',
      `The keyring file ${path} cannot be replaced. Add the key to it by hand.`,
      {
        cause,
      },
    );
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
