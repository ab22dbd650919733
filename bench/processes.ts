import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';

/** A process that a benchmark started, to be ended by its own id. */
export interface BenchProcess {
  readonly pid: number;
  /** The first line it printed; empty when its output went to a file. */
  readonly firstLine: string;
  /** CPU time used so far by all of its threads, in milliseconds; NaN where /proc does not exist. */
  cpuMs(): number;
  /** Resident memory now, in MiB; NaN where /proc does not exist. */
  memoryMb(): number;
  /** Largest resident memory so far, in MiB; NaN where /proc does not exist. */
  peakMemoryMb(): number;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

const startMs = 30_000;
const stopMs = 20_000;

/** Whether processes can be kept on cores of their own here. */
export function canPin(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync('taskset', ['-p', String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Keeps a running process, all threads of it, on one core. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' });
}

/**
 * Starts a TypeScript program on this Node, on one core when `core` is given; `taskset` and `env` replace themselves
 * by it, so the child's id is the program's own. With `logFile` its output goes there;
 * otherwise the promise resolves once it has printed a line. Rejects when it ends or stays silent for 30 s before.
 */
export async function startNode(
  file: string,
  args: readonly string[],
  options: {
    readonly core: number | undefined;
    /** For Node itself. */
    readonly nodeFlags?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly logFile?: string;
  },
): Promise<BenchProcess> {
  const variables = Object.entries({ NODE_ENV: 'production', ...options.env }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const command = ['env', ...variables, process.execPath, ...(options.nodeFlags ?? []), file, ...args];
  if (options.core !== undefined) command.unshift('taskset', '-c', String(options.core));
  const [program = '', ...programArgs] = command;
  const log = options.logFile === undefined ? undefined : openSync(options.logFile, 'a');
  const child = spawn(program, programArgs, { stdio: ['ignore', log ?? 'pipe', log ?? 'inherit'] });
  const exited = once(child, 'exit');
  const firstLine = child.stdout ? await firstLineOf(child.stdout, child, file) : '';
  const { pid } = child;
  if (pid === undefined) throw new Error(`${file} did not start.`);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    firstLine,
    cpuMs: () => cpuMsOf(pid),
    memoryMb: () => memoryMbOf(pid, 'VmRSS'),
    peakMemoryMb: () => memoryMbOf(pid, 'VmHWM'),
    hasEnded,
    async stop() {
      if (hasEnded()) return;
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await exited;
      clearTimeout(force);
    },
  };
}

async function firstLineOf(
  output: NonNullable<ChildProcess['stdout']>,
  child: ChildProcess,
  file: string,
): Promise<string> {
  const lines = createInterface(output);
  const silence = AbortSignal.timeout(startMs);
  const line = await Promise.race([
    once(lines, 'line', { signal: silence }).then(([text]) => String(text)),
    once(child, 'exit').then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`${file} ended before it was ready.`);
  return line;
}

/** CPU time of a process in milliseconds: user and system ticks of /proc/<pid>/stat, 100 to the second on Linux. */
export function cpuMsOf(pid: number): number {
  const stat = readProc(`/proc/${pid}/stat`);
  // The command's name, in brackets, may hold spaces; the fields after it do not. utime and stime are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? Number.NaN) + Number(fields[12] ?? Number.NaN)) * 10;
}

/**
 * What the whole machine has spent so far, milliseconds over all cores: on processes, and waiting for a hypervisor that
 * had given the core to others (`stolen`). NaN where /proc does not exist.
 */
export function machineMs(): { readonly busy: number; readonly stolen: number } {
  const fields = readProc('/proc/stat').split('\n', 1)[0]?.split(/\s+/u).slice(1).map(Number) ?? [];
  // user, nice, system, idle, iowait, irq, softirq, steal
  const [user = Number.NaN, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return { busy: (user + nice + system + irq + softirq) * 10, stolen: steal * 10 };
}

/** Every process below another, children of children included; none where /proc does not exist. */
export function descendantsOf(pid: number): number[] {
  if (!existsSync('/proc')) return [];
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/u.test(name)) continue;
    const stat = readProc(`/proc/${name}/stat`);
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const below = [pid];
  for (const ancestor of below) {
    for (const [child, parent] of parents) if (parent === ancestor) below.push(child);
  }
  return below.slice(1);
}

function memoryMbOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`${field}:\\s+(\\d+) kB`, 'u').exec(readProc(`/proc/${pid}/status`));
  return Number(line?.[1] ?? Number.NaN) / 1_024;
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
