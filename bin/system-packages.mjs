import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { LaunchFailure } from './launch-failure.mjs';

/**
 * Programs that tests need and npm cannot bring, with the Debian package that does. None so far.
 * @type {readonly { readonly program: string, readonly debianPackage: string }[]}
 */
const needed = [];

/**
 * Installs what is missing where that is allowed: as root, with apt.
 * @throws LaunchFailure that names exactly what is missing where it is not.
 */
export async function ensureSystemPackages(programs = needed) {
  const missing = programs.filter(({ program }) => !isOnPath(program));
  if (missing.length === 0) return;
  const names = missing.map(({ debianPackage }) => debianPackage);
  const command = `apt-get update && apt-get install --yes --no-install-recommends ${names.join(' ')}`;
  if (process.getuid?.() === 0 && isOnPath('apt-get')) {
    console.error(`Gatehouse: installing ${names.join(', ')} …`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const { status } = spawnSync('sh', ['-c', command], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    if (status === 0 && missing.every(({ program }) => isOnPath(program))) return;
  }
  throw new LaunchFailure(
    `Gatehouse: the tests need ${missing.map(({ program }) => program).join(', ')}. Run as root: ${command}`,
  );
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
