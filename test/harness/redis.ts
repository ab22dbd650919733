import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real Redis on a port of its own, with a password and nothing on disk. */
export interface TestRedis {
  readonly url: string;
  readonly password: string;
  /** Ends it at once, and all that it held. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  startAgain(): Promise<void>;
  /** It keeps its connections and answers nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

const program = 'redis-server';

/** Whether this machine has it. `npm test` installs it where it may; elsewhere it says so and does not begin. */
export const redisIsInstalled = spawnSync(program, ['--version']).status === 0;
export const redisMissing = `SKIPPED: ${program} is not installed, so nothing about Redis was tested. Install it: apt-get install redis-server`;

/** @param options further ones of the server's command line, as `--cluster-enabled`, `yes`. */
export async function startRedis(options: readonly string[] = []): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-redis-'));
  const password = randomBytes(12).toString('hex');
  const port = await freePort();
  let server = await launch(port, password, directory, options);
  const end = async (signal: NodeJS.Signals) => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await ended;
  };
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    password,
    kill: () => end('SIGKILL'),
    async startAgain() {
      server = await launch(port, password, directory, options);
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async stop() {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Takes connections and never says a word. */
export async function startSilentServer(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A way to a Redis on which each piece of an answer takes so long, milliseconds. */
export async function startSlowWay(
  url: string,
): Promise<{ readonly url: string; delayMs: number; stop(): Promise<void> }> {
  const { port, hostname } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    sockets.add(near).add(far);
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.on('data', (part) => far.write(part));
    far.on('data', (part) => setTimeout(() => near.write(part), way.delayMs));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const near = typeof address === 'object' && address ? address.port : 0;
  const way = {
    url: url.replace(`:${port}`, `:${near}`),
    delayMs: 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return way;
}

async function launch(
  port: number,
  password: string,
  directory: string,
  options: readonly string[],
): Promise<ChildProcess> {
  const server = spawn(
    program,
    ['--port', String(port), '--bind', '127.0.0.1', '--requirepass', password, '--dir', directory].concat([
      '--save',
      '',
      '--appendonly',
      'no',
      '--daemonize',
      'no',
      ...options,
    ]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (part: Buffer) => {
      output += part;
      if (output.includes('Ready to accept connections')) resolve();
    };
    server.stdout.on('data', hear);
    server.stderr.on('data', hear);
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`${program} ended with ${code}:\n${output}`)));
  });
  return server;
}

async function freePort(): Promise<number> {
  const silent = await startSilentServer();
  await silent.stop();
  return silent.port;
}
