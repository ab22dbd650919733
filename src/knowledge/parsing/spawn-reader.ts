import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ParseLimits } from './parse-limits.ts';

const shell = '/bin/sh';
const libraries = ['unpdf', 'mammoth', 'htmlparser2', 'linkedom', '@mozilla/readability'];

/**
 * Starts `worker.ts` (tests: another program of this folder) with pipes at 3 (in) and 4 (out). Node's permission model lets it read its own source and its
 * libraries, write nothing and start nothing; it inherits no environment, so no password of the server's either.
 */
export function spawnReader(
  limits: Pick<ParseLimits, 'heapMiB'>,
  program = new URL('./worker.ts', import.meta.url),
): ChildProcess {
  const args = [
    '--permission',
    '--allow-worker',
    ...readableFolders().map((folder) => `--allow-fs-read=${folder}`),
    `--max-old-space-size=${limits.heapMiB}`,
    '--disable-warning=SecurityWarning',
    '--disable-warning=ExperimentalWarning',
    fileURLToPath(program),
  ];
  const [command, ...rest] = withoutCoreDumps([process.execPath, ...args]);
  return spawn(command ?? process.execPath, rest, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: {},
    cwd: sep,
    windowsHide: true,
  });
}

/** A process that runs out of heap aborts, and would leave a core file the size of its heap behind. */
function withoutCoreDumps(command: string[]): string[] {
  return existsSync(shell) ? [shell, '-c', 'ulimit -c 0; exec "$@"', 'sh', ...command] : command;
}

/** The program's own source, its package.json, and the node_modules folders that its libraries lie in. */
function readableFolders(): string[] {
  const root = new URL('../../../', import.meta.url);
  const require = createRequire(import.meta.url);
  const modules = libraries.map((library) => modulesFolder(realpathSync(require.resolve(library))));
  const linked = fileURLToPath(new URL('node_modules', root));
  const folders = [fileURLToPath(new URL('src', root)), linked, ...modules].map(
    (folder) => `${folder}${sep}*`,
  );
  return [...new Set([...folders, fileURLToPath(new URL('package.json', root))])];
}

function modulesFolder(path: string): string {
  const marker = `${sep}node_modules${sep}`;
  return path.slice(0, path.lastIndexOf(marker) + marker.length - sep.length);
}
