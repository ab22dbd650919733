import { statSync } from 'node:fs';
import type { DataDirectoryReport } from '../../platform/data-directory.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './finding.ts';

export const dataDirectoryCheck: Check<Facts> = {
  name: 'data directory',
  run: async ({ directory }) => {
    if (!directory) return [skipped('data directory', 'the configuration comes first')];
    const wrong = directory.findings
      .filter(({ about }) => about === 'access' || about === 'version')
      .map((finding) =>
        (finding.severity === 'error' ? problem : warning)('data directory', finding.problem, finding.remedy),
      );
    return wrong.some(({ status }) => status === 'problem') ? wrong : [describe(directory), ...wrong];
  },
};

function describe(directory: DataDirectoryReport): Finding {
  if (!directory.exists) return ok('data directory', `${directory.path} does not exist yet and can be made`);
  const layout = directory.version === null ? 'new' : `data layout ${directory.version.layout}`;
  const owner = statSync(directory.path, { throwIfNoEntry: false })?.uid;
  return ok('data directory', `${directory.path} is writable, ${layout}, owned by user ${owner}`);
}

export const lockCheck: Check<Facts> = {
  name: 'lock',
  run: async ({ directory, unseen }) => [
    directory && unseen === null ? lockFinding(directory) : skipped('lock', unseen ?? ''),
  ],
};

function lockFinding({ lock, path }: DataDirectoryReport): Finding {
  switch (lock.state) {
    case 'free':
      return ok('lock', 'no Gatehouse runs on this data directory');
    case 'held':
      return ok(
        'lock',
        lock.holder === null
          ? 'a Gatehouse that cannot be seen from here, probably in another container, runs on this data directory'
          : `a Gatehouse runs on this data directory (process ${lock.holder.pid})`,
      );
    case 'stale':
      return warning(
        'lock',
        `process ${lock.holder.pid} ended without a shutdown and left its lock in ${path}`,
        'Nothing to do: the next start takes it over and recovers.',
      );
  }
}

const mib = 1024 * 1024;
/** Below this there is time to act, but not much: the database and the index both write ahead. */
const scarceBytes = 1024 * mib;

export const diskCheck: Check<Facts> = {
  name: 'disk space',
  run: async ({ directory }) => {
    if (!directory) return [skipped('disk space', 'the configuration comes first')];
    const full = directory.findings.find(({ about }) => about === 'space');
    if (full) return [problem('disk space', full.problem, full.remedy)];
    return [spaceFinding(directory.path, directory.freeBytes)];
  },
};

export function spaceFinding(path: string, freeBytes: number | null): Finding {
  if (freeBytes === null)
    return skipped('disk space', `the system does not tell how much is free at ${path}`);
  const free = `${Math.floor(freeBytes / mib)} MiB are free at ${path}`;
  return freeBytes >= scarceBytes
    ? ok('disk space', free)
    : warning(
        'disk space',
        free,
        'Make space soon, or set GATEHOUSE_DATA_DIR to a directory on a larger disk.',
      );
}
