import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findBinaries } from '../../platform/database/embedded/binaries.ts';
import type { EmbeddedPostgresReport } from '../../platform/database/embedded/index.ts';
import { chooseServerUser, type ServerUser } from '../../platform/database/embedded/server-user.ts';
import { AppError } from '../../platform/errors.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

const useAnother = 'Or set DATABASE_URL to a PostgreSQL server, 15 or newer.';

/** Whether the programs of the embedded server run here, and as whom. */
export const embeddedProgramsCheck: Check<Facts> = {
  name: 'embedded programs',
  run: async ({ config, directory, unseen }) => {
    if (config && config.databaseUrl !== null)
      return [skipped('embedded programs', 'DATABASE_URL is used instead')];
    if (!directory || unseen !== null) return [skipped('embedded programs', unseen ?? '')];
    // Links to libraries, where the install left them out, are made beside, not in the data directory.
    const scratch = await mkdtemp(join(tmpdir(), 'gatehouse-doctor-'));
    try {
      await chmod(scratch, 0o755);
      const binaries = await findBinaries(scratch);
      const user = await chooseServerUser(existingPart(directory.path), binaries);
      return userFindings(user);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [problem('embedded programs', error.message, useAnother)];
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  },
};

/** A directory that is yet to be made is judged by where it will be. */
function existingPart(directory: string): string {
  return existsSync(directory) || dirname(directory) === directory
    ? directory
    : existingPart(dirname(directory));
}

function userFindings(user: ServerUser): Finding[] {
  const how =
    user.owner === null
      ? 'the programs run as this user'
      : `the programs run, as user ${user.owner.uid} instead of root`;
  if (user.commandPrefix.length > 0 || process.platform !== 'linux') return [ok('embedded programs', how)];
  return [
    warning(
      'embedded programs',
      `${how}, but setpriv is missing: a killed Gatehouse leaves its database running until the next start`,
      'Install the package util-linux.',
    ),
  ];
}

/** Whether a server runs on the files, and whether it should. */
export const embeddedServerCheck: Check<Facts> = {
  name: 'embedded server',
  run: async (facts) => {
    const { config, directory, unseen } = facts;
    if (config && config.databaseUrl !== null)
      return [skipped('embedded server', 'DATABASE_URL is used instead')];
    if (!directory || unseen !== null) return [skipped('embedded server', unseen ?? '')];
    return [embeddedFinding(await facts.embedded(), directory.lock.state === 'held')];
  },
};

/** @param isHeld whether a Gatehouse holds the data directory. */
export function embeddedFinding(report: EmbeddedPostgresReport | null, isHeld: boolean): Finding {
  if (report?.running) {
    const { pid, connection } = report.running;
    if (!isHeld) {
      return warning(
        'embedded server',
        `PostgreSQL (process ${pid}) was left running by a Gatehouse that was killed`,
        'Nothing to do: the next start stops it in good order and starts its own.',
      );
    }
    return connection
      ? ok('embedded server', `PostgreSQL runs (process ${pid})`)
      : warning(
          'embedded server',
          `PostgreSQL (process ${pid}) is not ready yet`,
          `Wait, or see ${report.logPath}`,
        );
  }
  if (isHeld) {
    return warning(
      'embedded server',
      'a Gatehouse runs, and its PostgreSQL is not to be seen',
      `It is perhaps starting, or in another container. Otherwise see ${report?.logPath ?? 'its log'}`,
    );
  }
  return report?.initialised
    ? ok('embedded server', 'at rest; it runs while Gatehouse does')
    : ok('embedded server', 'is made at the first start');
}
