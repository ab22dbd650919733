import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchProcess, cpuMsOf, descendantsOf, pin, startNode } from './processes.ts';

/** A Gatehouse set up for a benchmark: one route named `bench` to the simulated provider. */
export interface BenchGatehouse {
  readonly url: string;
  readonly process: BenchProcess;
  /** An ordinary tenant key, as an application would use. */
  readonly apiKey: string;
  /** CPU time of its database server so far, in milliseconds. */
  databaseCpuMs(): number;
  /** Calls in its ledger that the benchmark made. */
  ledgerCalls(): Promise<number>;
  /** Replies it gave to the benchmark so far. */
  readonly tally: { replies: number };
  stop(): Promise<void>;
}

const readyMs = 120_000;
const main = new URL('../src/main.ts', import.meta.url).pathname;

/**
 * Starts `serve` with an empty data directory and configures it over its API. The process under test is kept on
 * `core`. Its embedded PostgreSQL is moved to `databaseCore`: the comparison is of what the two proxies can do with
 * one core each, and the database is a process of its own, which in production has cores of its own. What it costs is
 * measured and printed all the same.
 */
export async function startGatehouse(
  providerUrl: string,
  cores: { readonly core: number | undefined; readonly databaseCore: number | undefined },
): Promise<BenchGatehouse> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'));
  // PostgreSQL refuses root and runs as another user then, who must be able to walk to the data directory.
  await chmod(directory, 0o755);
  const adminKey = `test-admin-${randomBytes(12).toString('hex')}`;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(directory, 'gatehouse.log');
  const started = await startNode(main, ['serve'], {
    core: cores.core,
    logFile,
    env: {
      PORT: String(port),
      HOST: '127.0.0.1',
      DATABASE_URL: '',
      GATEHOUSE_DATA_DIR: join(directory, 'data'),
      GATEHOUSE_ADMIN_KEY: adminKey,
    },
  });
  async function stop(): Promise<void> {
    await started.stop();
    await rm(directory, { recursive: true, force: true });
  }
  try {
    await until('Gatehouse is ready', () => isReady(url), started);
    const api = adminApi(url, adminKey);
    await api('POST', 'providers', {
      name: 'sim',
      kind: 'openai',
      base_url: `${providerUrl}/v1`,
      api_key: 'sk-test',
    });
    await api('PUT', 'routes/bench', {
      tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
    });
    const { key } = (await api('POST', 'keys', { name: 'bench', role: 'analyst' })) as { key: string };
    await until('the route answers', () => answers(url, key), started);
    const ledgerCalls = async (): Promise<number> =>
      ((await api('GET', 'costs/summary')) as { calls: number }).calls;
    await until('the call just made is in the ledger', async () => (await ledgerCalls()) > 0, started);
    const callsBefore = await ledgerCalls();
    const { databaseCore } = cores;
    if (databaseCore !== undefined) for (const pid of descendantsOf(started.pid)) pin(pid, databaseCore);
    return {
      url,
      process: started,
      apiKey: key,
      databaseCpuMs: () => descendantsOf(started.pid).reduce((total, pid) => total + cpuMsOf(pid), 0),
      ledgerCalls: async () => (await ledgerCalls()) - callsBefore,
      tally: { replies: 0 },
      stop,
    };
  } catch (error) {
    const log = await readFile(logFile, 'utf8').catch(() => '');
    await stop();
    throw new Error(`Gatehouse could not be set up. The end of its log:\n${log.slice(-3_000)}`, {
      cause: error,
    });
  }
}

function adminApi(url: string, adminKey: string) {
  return async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${url}/api/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${adminKey}`,
        'x-tenant-id': 'demo',
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text);
  };
}

async function isReady(url: string): Promise<boolean> {
  const response = await fetch(`${url}/health/ready`).catch(() => undefined);
  await response?.text();
  return response?.ok === true;
}

async function answers(url: string, key: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'Are you there?' }] }),
  });
  await response.text();
  return response.ok;
}

async function until(what: string, isSo: () => Promise<boolean>, server: BenchProcess): Promise<void> {
  const deadline = performance.now() + readyMs;
  while (!(await isSo())) {
    if (Number.isNaN(server.peakMemoryMb())) throw new Error(`It ended before: ${what}.`);
    if (performance.now() > deadline) throw new Error(`After ${readyMs / 1_000} s not so: ${what}.`);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
