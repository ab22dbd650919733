import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Stands where Gatehouse would: notes which signals reach it, and takes a moment to stop. */
const stubMain = `
import { appendFileSync } from 'node:fs';
const note = (text: string) => appendFileSync(process.env.STUB_NOTES ?? '', text + '\\n');
const [command, ...rest] = process.argv.slice(2);
note('started ' + process.pid);
if (command === 'exit') process.exit(Number(rest[0]));
if (command === 'die') process.kill(process.pid, rest[0]);
if (command === 'print') console.log(rest.join(' '));
if (command === 'serve') {
  const stay = setInterval(() => {}, 1000);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.on(signal, () => {
      note(signal);
      setTimeout(() => note('stopped'), 300);
      clearInterval(stay);
    });
  }
  note('ready');
}
`;

/**
 * Stands where npm would: notes its arguments and, unless told to behave otherwise, "installs" what the lock file
 * names in the way npm records it.
 */
const stubNpm = `
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
const note = (text) => appendFileSync(process.env.STUB_NOTES, text + '\\n');
const args = process.argv.slice(2);
note('npm ' + process.pid + ' ' + (args.includes('--include=dev') ? 'everything' : 'production'));
const finish = () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const kept = Object.entries(packages).filter(([path, entry]) => path && (args.includes('--include=dev') || !entry.dev));
  mkdirSync('node_modules', { recursive: true });
  writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages: Object.fromEntries(kept) }));
  note('npm done');
};
const behaviour = process.env.STUB_NPM ?? '';
if (behaviour === 'offline') {
  console.error('npm error code ENOTFOUND');
  process.exit(1);
}
if (behaviour === 'waits') {
  mkdirSync('node_modules', { recursive: true });
  writeFileSync('node_modules/half-written', '');
  note('npm waits');
  const timer = setInterval(() => {
    if (!existsSync('go-on')) return;
    clearInterval(timer);
    finish();
  }, 20);
} else finish();
`;

export interface StubCheckout {
  readonly root: string;
  /** What the stubs noted so far, without process numbers. */
  notes(): string[];
  pidOf(what: 'started' | 'npm'): number;
  noted(what: string): Promise<void>;
  writeLockFile(packages: Record<string, object>): void;
  runNode(args: readonly string[], environment?: Record<string, string>): Run;
  runNpmStart(): Run;
  /** Runs Node as the child of a process that never asks for its end, as in some containers. */
  runNodeUnnoticed(args: readonly string[], environment?: Record<string, string>): Run;
  remove(): Promise<void>;
}

export interface Run {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly ended: Promise<{
    code: number | null;
    signal: NodeJS.Signals | null;
    stdout: string;
    stderr: string;
  }>;
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 3_000; tries++) {
    if (isSo()) return;
    await pause(10);
  }
  throw new Error(`waited in vain until ${what}`);
}

export function isRunning(pid: number): boolean {
  try {
    // A zombie has ended; nobody has asked for its exit code yet.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** A folder with the real launcher and, instead of Gatehouse and npm, programs that note what happens to them. */
export function makeStubCheckout(): StubCheckout {
  const root = mkdtempSync(join(tmpdir(), 'gatehouse-launcher-'));
  const notesFile = join(root, 'notes');
  const running: ChildProcess[] = [];
  cpSync(fileURLToPath(new URL('../../bin', import.meta.url)), join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'src', 'main.ts'), stubMain);
  writeFileSync(join(root, 'npm-cli.js'), stubNpm);
  const scripts = { start: 'exec node bin/gatehouse.mjs serve' };
  writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'stub', type: 'module', scripts }));
  writeFileSync(notesFile, '');
  linkNode(root);

  const rawNotes = () => readFileSync(notesFile, 'utf8').trim().split('\n');
  const start = (command: string, args: readonly string[], environment: Record<string, string>): Run => {
    const own = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
    const child = spawn(command, args, {
      cwd: root,
      env: { ...Object.fromEntries(own), STUB_NOTES: notesFile, ...environment },
      // A group of its own, as a terminal makes for a command.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.push(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal, stdout, stderr }));
    return { child, pid: child.pid ?? 0, ended };
  };

  return {
    root,
    notes: () => rawNotes().map((line) => line.replace(/ \d+/, '')),
    pidOf: (what) =>
      Number(
        rawNotes()
          .findLast((line) => line.startsWith(`${what} `))
          ?.split(' ')[1],
      ),
    noted: (what) => until(`"${what}" is noted`, () => rawNotes().some((line) => line.includes(what))),
    writeLockFile: (packages) =>
      writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...packages } })),
    runNode: (args, environment = {}) =>
      start(process.execPath, args, { npm_execpath: join(root, 'npm-cli.js'), ...environment }),
    runNodeUnnoticed: (args, environment = {}) =>
      start('/bin/sh', ['-c', '"$0" "$@" & exec sleep 1000', process.execPath, ...args], {
        npm_execpath: join(root, 'npm-cli.js'),
        ...environment,
      }),
    runNpmStart: () => start('npm', ['start'], {}),
    async remove() {
      for (const child of running) if (isRunning(child.pid ?? 0)) child.kill('SIGKILL');
      const left = rawNotes().map((line) => Number(line.split(' ')[1]));
      for (const pid of left.filter((pid) => pid > 0 && isRunning(pid))) process.kill(pid, 'SIGKILL');
      rmSync(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The Node that Gatehouse would bring. */
export function linkNode(root: string): void {
  const directory = join(root, 'node_modules', 'node', 'bin');
  mkdirSync(directory, { recursive: true });
  if (!existsSync(join(directory, 'node'))) symlinkSync(process.execPath, join(directory, 'node'));
}
