import { statSync } from 'node:fs';
import { AppError } from '../../platform/errors.ts';
import { fingerprintOf } from '../../platform/keyring/local-keys.ts';
import { keyFile, readMasterKeys } from '../../platform/master-key.ts';
import type { DatabaseFacts } from './database-facts.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

export const masterKeyCheck: Check<Facts> = {
  name: 'master key',
  run: async ({ config, directory, unseen, database }) => {
    if (!config || !directory) return [skipped('master key', 'the configuration comes first')];
    const { masterKey, oldMasterKeys, keyringFile } = config.secrets;
    if (masterKey) {
      return [masterKeyFinding('GATEHOUSE_MASTER_KEY', [masterKey, ...oldMasterKeys], await database())];
    }
    if (unseen !== null && keyringFile === null) return [skipped('master key', unseen)];
    const path = keyringFile ?? keyFile(directory.path);
    let keys: readonly Buffer[] | null;
    try {
      keys = readMasterKeys(path);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [problem('master key', error.message, 'Put the original back from a backup.')];
    }
    if (keys === null && keyringFile !== null) {
      return [
        problem(
          'master key',
          `${path} is not there`,
          'Put it back, or set GATEHOUSE_KEYRING_FILE to where it is.',
        ),
      ];
    }
    const known = keys === null && oldMasterKeys.length === 0 ? null : [...(keys ?? []), ...oldMasterKeys];
    return [masterKeyFinding(path, known, await database()), ...(keys ? openToOthers(path) : [])];
  },
};

/** @param keys null when there is none yet. */
export function masterKeyFinding(
  place: string,
  keys: readonly Buffer[] | null,
  database: DatabaseFacts,
): Finding {
  const stored = database.state === 'reached' ? database.masterKeyFingerprint : null;
  const wrapping = database.state === 'reached' ? database.keksInUse : [];
  if (keys === null) {
    return stored === null
      ? ok('master key', `is made at the first start, in ${place}`)
      : problem(
          'master key',
          `${place} is gone, and the stored secrets were sealed with it`,
          'Put it back from a backup, or set GATEHOUSE_MASTER_KEY to it. If it is lost, so are the stored provider keys.',
        );
  }
  if (stored === null) {
    const why =
      database.state === 'reached' ? 'nothing was sealed yet' : 'the database was not asked what it sealed';
    return ok(
      'master key',
      `${place} holds ${keys.length === 1 ? '32 bytes' : `${keys.length} keys`}; ${why}`,
    );
  }
  const needed = [
    stored,
    ...wrapping.flatMap((kek) => (kek.startsWith('local:') ? [kek.slice('local:'.length)] : [])),
  ];
  const missing = [...new Set(needed)].filter((one) => !keys.some((key) => fingerprintOf(key) === one));
  return missing.length === 0
    ? ok('master key', `${place} is the one that sealed the stored secrets (${stored})`)
    : problem(
        'master key',
        `${place} is not the key that sealed the stored secrets: the one with the fingerprint ${missing.join(', ')} is missing`,
        'Use the original: set GATEHOUSE_MASTER_KEY to it, put back its file, or add it to GATEHOUSE_MASTER_KEYS_OLD.',
      );
}

function openToOthers(path: string): Finding[] {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o077) === 0
    ? []
    : [warning('master key', `${path} can be read by other users of this machine`, `Run: chmod 600 ${path}`)];
}
