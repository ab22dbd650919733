import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * A process number alone says little: the system hands numbers out again. Together with the moment the process
 * started it names one process for good.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque, compare for equality only; null where the system does not tell. */
  readonly startedAt: string | null;
}

/** @returns who runs under `pid` now, or null when nobody does (a zombie counts as nobody). */
export function identifyProcess(pid: number): ProcessIdentity | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  return process.platform === 'linux' ? identifyOnLinux(pid) : identifyByPs(pid);
}

/** Whether the very process that was recorded still runs; a later one under the same number does not count. */
export function stillRuns(recorded: ProcessIdentity): boolean {
  const now = identifyProcess(recorded.pid);
  return now !== null && (recorded.startedAt === null || now.startedAt === recorded.startedAt);
}

/** What `/proc/<pid>/stat` holds, as far as it is needed here. */
export interface ProcessStat {
  readonly name: string;
  readonly state: string;
  readonly parentPid: number;
  /** Clock ticks since the machine started. */
  readonly startTicks: string;
}

/**
 * Reads one line of `/proc/<pid>/stat` (proc_pid_stat(5)). The name stands in parentheses and may itself hold
 * spaces and parentheses, so the fields are counted from the last one that closes.
 */
export function parseProcessStat(line: string): ProcessStat | null {
  const open = line.indexOf('(');
  const close = line.lastIndexOf(')');
  if (open < 0 || close < open) return null;
  const fields = line.slice(close + 2).split(' ');
  const [state, parent] = fields;
  const startTicks = fields[19];
  if (state === undefined || parent === undefined || startTicks === undefined) return null;
  return { name: line.slice(open + 1, close), state, parentPid: Number(parent), startTicks };
}

/** @returns null when there is no such process, or no `/proc`. */
export function readProcessStat(pid: number): ProcessStat | null {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return null;
  }
}

function identifyOnLinux(pid: number): ProcessIdentity | null {
  const stat = readProcessStat(pid);
  if (stat === null || stat.state === 'Z' || stat.state === 'X') return null;
  return { pid, startedAt: `${bootId()}/${stat.startTicks}` };
}

/** Ticks count from the start of the machine, so they mean something only together with which start it was. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

function identifyByPs(pid: number): ProcessIdentity | null {
  try {
    const shown = execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: 5_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return shown === '' ? null : { pid, startedAt: shown };
  } catch {
    return isSignallable(pid) ? { pid, startedAt: null } : null;
  }
}

function isSignallable(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
