import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** A key of the form that GATEHOUSE_ADMIN_KEY takes; it opens nothing but servers that tests start. */
export const testAdminKey = 'test-admin-key-not-a-secret';
/** A configuration file with limits that nothing reaches. */
export const raisedLimits = join(root, 'test/harness/raised-limits.yaml');
const startTimeoutMs = 90_000;

export interface RunningServer {
  readonly url: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** All that was printed so far. */
  output(): { stdout: string; stderr: string };
  /** A request with the owner's key; a body that is not a string or form is sent as JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Graceful. @returns the exit code. */
  stop(): Promise<number | null>;
  /** As the kernel or an operator would: no chance to clean up. */
  kill9(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Stories read replies the way their users do, so without a type. */
  readonly json: any;
}

/** A server that may not be ready yet, and may never be. */
export interface LaunchedServer {
  readonly process: ChildProcess;
  /** The address, once the server says that it is ready; rejects when it ends before, or takes too long. */
  readonly ready: Promise<string>;
  /** The exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** All that was printed so far. */
  output(): { stdout: string; stderr: string };
}

interface LaunchOptions {
  readonly env?: Record<string, string>;
  readonly command?: readonly string[];
}

/** Starts the whole server as its user would, on a port of its own. */
export function launchServer(dataDir: string, options: LaunchOptions = {}): LaunchedServer {
  const [program, ...parameters] = options.command ?? [process.execPath, join(root, 'src/main.ts'), 'serve'];
  const child = spawn(program ?? '', parameters, {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PORT: '0',
      GATEHOUSE_DATA_DIR: dataDir,
      GATEHOUSE_ADMIN_KEY: testAdminKey,
      GATEHOUSE_DRAIN_SECONDS: '0',
      // Tests ask faster than a tier allows; those of limits say GATEHOUSE_CONFIG: '' or name a file of their own.
      GATEHOUSE_CONFIG: raisedLimits,
      // Machines that run tests are busy with more than the one server.
      GATEHOUSE_SHED_DELAY_MS: '5000',
      LOG_LEVEL: 'info',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part) => {
    stdout += part;
  });
  child.stderr?.on('data', (part) => {
    stderr += part;
  });
  const output = () => ({ stdout, stderr });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const ready = readyAddress(child, exited, output);
  // Whoever kills a server before it is ready does not wait for it.
  ready.catch(() => {});
  return { process: child, ready, exited, output };
}

/** Starts a server and waits until it says that it is ready. */
export async function startServer(
  options: LaunchOptions & { readonly dataDir?: string } = {},
): Promise<RunningServer> {
  const dataDir = options.dataDir ?? (await temporaryDirectory());
  const { process: child, ready, exited, output } = launchServer(dataDir, options);
  const url = await ready;
  return {
    url,
    dataDir,
    process: child,
    output,
    call: (method, path, body, headers) => call(url, testAdminKey, method, path, body, headers),
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
    async kill9() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

export async function call(
  url: string,
  key: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const raw = body === undefined || typeof body === 'string' || body instanceof FormData;
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: raw ? ((body as string | FormData | null | undefined) ?? null) : JSON.stringify(body),
  });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'gatehouse-story-'));
}

export async function removeDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

async function readyAddress(
  child: ChildProcess,
  exited: Promise<number | null>,
  output: () => { stdout: string; stderr: string },
): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const found = new Promise<string>((resolve) => {
    const look = () => {
      const text = output().stdout;
      const address = /Gatehouse is ready/.test(text) && /(https?:\/\/[^\s/]+:\d+)/.exec(text)?.[1];
      if (address) resolve(address);
    };
    child.stdout?.on('data', look);
  });
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not ready in time\n${tail(output())}`)), startTimeoutMs);
  });
  const ended = exited.then((code) => {
    throw new Error(`the server ended with ${code} before it was ready\n${tail(output())}`);
  });
  try {
    return await Promise.race([found, late, ended]);
  } finally {
    clearTimeout(timer);
    ended.catch(() => {});
  }
}

function tail(output: { stdout: string; stderr: string }): string {
  return `${output.stdout.slice(-2_000)}\n${output.stderr.slice(-4_000)}`;
}
