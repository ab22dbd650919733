import { statSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../../platform/errors.ts';
import { readMasterKey } from '../../platform/master-key.ts';
import { systemRandom } from '../../platform/random.ts';
import { createSecretBox } from '../../platform/secret-box.ts';
import type { DatabaseFacts } from './database-facts.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

export const masterKeyCheck: Check<Facts> = {
  name: 'master key',
  run: async ({ config, directory, unseen, database }) => {
    if (!config || !directory) return [skipped('master key', 'the configuration comes first')];
    if (config.masterKey) {
      return [masterKeyFinding('GATEHOUSE_MASTER_KEY', config.masterKey, await database())];
    }
    if (unseen !== null) return [skipped('master key', unseen)];
    const path = join(directory.path, 'master.key');
    let key: Buffer | null;
    try {
      key = directory.exists ? readMasterKey(directory.path) : null;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [problem('master key', error.message, 'Put the original back from a backup.')];
    }
    return [masterKeyFinding(path, key, await database()), ...(key ? openToOthers(path) : [])];
  },
};

/** @param key null when there is none yet. */
export function masterKeyFinding(place: string, key: Buffer | null, database: DatabaseFacts): Finding {
  const stored = database.state === 'reached' ? database.masterKeyFingerprint : null;
  if (key === null) {
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
    return ok('master key', `${place} holds 32 bytes; ${why}`);
  }
  return createSecretBox(key, systemRandom).fingerprint === stored
    ? ok('master key', `${place} is the one that sealed the stored secrets`)
    : problem(
        'master key',
        `${place} is not the key that sealed the stored secrets`,
        'Use the original: set GATEHOUSE_MASTER_KEY to it, or put back its file.',
      );
}

function openToOthers(path: string): Finding[] {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o077) === 0
    ? []
    : [warning('master key', `${path} can be read by other users of this machine`, `Run: chmod 600 ${path}`)];
}
