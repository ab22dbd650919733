import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { LaunchFailure } from './launch-failure.mjs';

/**
 * @typedef {object} NeededProgram
 * @property {string} program
 * @property {string} debianPackage the Debian package that brings it.
 * @property {string} [without] what is left out where it cannot be installed; absent: nothing can be tested without it.
 */

/**
 * Programs that tests need and npm cannot bring.
 * @type {readonly NeededProgram[]}
 */
const needed = [
  {
    program: 'redis-server',
    debianPackage: 'redis-server',
    without: 'the tests that need a real Redis did not run, and the run counts as failed',
  },
];

/**
 * Installs what is missing where that is allowed: as root, with apt.
 * @returns what could not be had and is left out, a sentence each, to be said again at the end, which is a failure then:
 *   everything else is tested all the same.
 * @throws LaunchFailure that names exactly what is missing where nothing can be tested without it.
 */
export async function ensureSystemPackages(programs = needed) {
  let missing = programs.filter(({ program }) => !isOnPath(program));
  if (missing.length === 0) return [];
  const names = missing.map(({ debianPackage }) => debianPackage);
  const command = `apt-get update && apt-get install --yes --no-install-recommends ${names.join(' ')}`;
  if (process.getuid?.() === 0 && isOnPath('apt-get')) {
    console.error(`Gatehouse: installing ${names.join(', ')} …`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('sh', ['-c', command], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    missing = missing.filter(({ program }) => !isOnPath(program));
  }
  const vital = missing.filter(({ without }) => without === undefined);
  if (vital.length > 0) {
    throw new LaunchFailure(
      `Gatehouse: the tests need ${vital.map(({ program }) => program).join(', ')}. Run as root: ${command}`,
    );
  }
  const leftOut = missing.map(
    ({ program, without }) =>
      `Gatehouse: ${program} is missing, so ${without}. To have it, run as root: ${command}`,
  );
  for (const sentence of leftOut) console.error(sentence);
  return leftOut;
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
