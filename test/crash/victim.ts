import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  identifyProcess,
  type ProcessIdentity,
  readProcessStat,
  stillRuns,
} from '../../src/platform/process-identity.ts';
import type { LaunchedServer } from '../harness/server.ts';

/**
 * What is killed: the server alone, so that its PostgreSQL is left running; both; the whole family at once, as when a
 * container is killed; or PostgreSQL alone, under a server that lives on.
 */
export type Target = 'server' | 'server and database' | 'family' | 'database';

/**
 * Every kill is SIGKILL, and goes only to processes of the server on this data directory. Aiming looks for them, which
 * takes some milliseconds; the shot itself takes none.
 */
export function aim(server: LaunchedServer, dataDir: string, target: Target): Aimed {
  const family = descendantsOf(server.process.pid ?? 0);
  const database = databaseOn(dataDir);
  return {
    family,
    fire() {
      if (target !== 'database') server.process.kill('SIGKILL');
      if (target !== 'server' && database !== null) killIfThere(database);
      if (target === 'family') for (const one of family) killIfThere(one);
    },
  };
}

export interface Aimed {
  /** All processes that the server had started. */
  readonly family: readonly ProcessIdentity[];
  fire(): void;
}

/** PostgreSQL's first process, if it runs: the number in its pid file, when that process works in these very files. */
function databaseOn(dataDir: string): ProcessIdentity | null {
  const files = join(dataDir, 'postgres');
  try {
    const pid = Number(readFileSync(join(files, 'postmaster.pid'), 'utf8').split('\n')[0]);
    if (realpathSync(`/proc/${pid}/cwd`) !== realpathSync(files)) return null;
    return identifyProcess(pid);
  } catch {
    return null;
  }
}

function descendantsOf(pid: number): ProcessIdentity[] {
  const childrenOf = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readProcessStat(Number(name)) : null;
    if (stat === null) continue;
    childrenOf.set(stat.parentPid, [...(childrenOf.get(stat.parentPid) ?? []), Number(name)]);
  }
  const found: ProcessIdentity[] = [];
  for (const parents = [pid]; parents.length > 0; ) {
    for (const child of childrenOf.get(parents.pop() ?? 0) ?? []) {
      parents.push(child);
      const identity = identifyProcess(child);
      if (identity !== null) found.push(identity);
    }
  }
  return found;
}

function killIfThere(identity: ProcessIdentity): void {
  if (!stillRuns(identity)) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Processes of a killed server that are not PostgreSQL's, the readers of files, end by themselves.
 * @returns the names of those that do not.
 */
export async function lingering(family: readonly ProcessIdentity[], withinMs: number): Promise<string[]> {
  const nameOf = ({ pid }: ProcessIdentity) => readProcessStat(pid)?.name ?? '';
  const left = () => family.filter((one) => stillRuns(one) && nameOf(one) !== 'postgres');
  const deadline = performance.now() + withinMs;
  while (left().length > 0 && performance.now() < deadline) await pause(50);
  return left().map((one) => `${nameOf(one)} (${one.pid})`);
}

/** Leaves no process behind, whatever state the run ended in. */
export async function clearAway(server: LaunchedServer | null, dataDir: string): Promise<void> {
  if (server !== null) {
    aim(server, dataDir, 'family').fire();
    await server.exited;
  }
  const database = databaseOn(dataDir);
  if (database === null) return;
  killIfThere(database);
  while (stillRuns(database)) await pause(20);
}
