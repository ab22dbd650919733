import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { type BenchProcess, startNode } from './processes.ts';
import { until } from './until.ts';

/** The Portkey gateway (MIT, https://github.com/Portkey-AI/gateway), running as its own documentation starts it. */
export interface Portkey {
  readonly url: string;
  readonly process: BenchProcess;
  /** What sends a request on to the simulated provider. */
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/**
 * Portkey's own range for @hono/node-server takes in releases since 1.14.2 with which it answers 500 to every stream
 * (https://github.com/Portkey-AI/gateway/issues/1389); 1.14.1 is the last that works.
 */
const manifest = {
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2' },
  overrides: { '@hono/node-server': '1.14.1', hono: '4.13.19' },
};
const installMs = 180_000;
const readyMs = 30_000;

/**
 * Installs Portkey into the machine's folder for temporary files unless it is there already, and starts it.
 * @throws Error that says why when it cannot be had, as without a network.
 */
export async function startPortkey(providerUrl: string, core: number | undefined): Promise<Portkey> {
  const program = await install();
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-bench-portkey-'));
  const process = await startNode(program, ['--headless', `--port=${port}`], {
    core,
    nodeFlags: ['--import', new URL('./loopback-only.ts', import.meta.url).href],
    logFile: join(folder, 'portkey.log'),
  });
  async function stop(): Promise<void> {
    await process.stop();
    await rm(folder, { recursive: true, force: true });
  }
  const headers = {
    authorization: 'Bearer sk-test',
    'x-portkey-provider': 'openai',
    // Loopback is among the hosts that Portkey trusts by default (its TRUSTED_CUSTOM_HOSTS).
    'x-portkey-custom-host': `${providerUrl}/v1`,
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await until('Portkey answers', readyMs, () => answers(url, headers), process);
    return { url, process, headers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @returns the path of its program. Installed beside and moved into place, so that half an installation is never used. */
async function install(): Promise<string> {
  const name = createHash('sha256').update(JSON.stringify(manifest)).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), 'gatehouse-bench-cache', `portkey-${name}`);
  const program = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (existsSync(program)) return program;
  await mkdir(dirname(folder), { recursive: true });
  const beside = await mkdtemp(`${folder}-`);
  try {
    await writeFile(join(beside, 'package.json'), JSON.stringify(manifest));
    const args = [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--omit=dev',
      '--fetch-retries=1',
    ];
    await promisify(execFile)('npm', args, { cwd: beside, timeout: installMs });
    await rename(beside, folder);
  } catch (cause) {
    await rm(beside, { recursive: true, force: true });
    const { stderr, message } = cause as { stderr?: string; message: string };
    const why = /npm error (?!A complete log)(.+)/u.exec(stderr ?? '')?.[1] ?? message;
    throw new Error(`npm could not install it: ${why}`, { cause });
  }
  return program;
}

async function answers(url: string, headers: Readonly<Record<string, string>>): Promise<boolean> {
  const ask = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Are you there?' }] };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(ask),
  }).catch(() => undefined);
  await response?.text();
  return response?.ok === true;
}
