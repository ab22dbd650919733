import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { type BenchProcess, cpuMsOf, descendantsOf, pin, startNode } from './processes.ts';
import { until } from './until.ts';

/** A Gatehouse set up for a benchmark: the simulated provider is the platform's, and one route `bench` leads to it. */
export interface BenchGatehouse {
  readonly url: string;
  readonly process: BenchProcess;
  /** An ordinary key of the tenant `demo`, as an application would use. */
  readonly apiKey: string;
  /** Calls its interface as the owner. @throws Error with the answer when it is not a success. */
  readonly api: AdminApi;
  /** CPU time of its database server so far, in milliseconds. */
  databaseCpuMs(): number;
  /** Calls in the ledgers of these tenants since it was set up. */
  ledgerCalls(tenants: readonly string[]): Promise<number>;
  stop(): Promise<void>;
}

/** @param tenant id or slug; `null` for what is the platform's. */
export type AdminApi = (
  tenant: string | null,
  method: string,
  path: string,
  body?: object,
) => Promise<unknown>;

export interface GatehouseCores {
  readonly core: number | undefined;
  readonly databaseCore: number | undefined;
}

export const homeTenant = 'demo';
const readyMs = 120_000;
const main = new URL('../src/main.ts', import.meta.url).pathname;
const raisedLimits = new URL('../test/harness/raised-limits.yaml', import.meta.url).pathname;
const launcher = new URL('../bin/launch.mjs', import.meta.url).href;

/**
 * Starts `serve` with an empty data directory, with the launcher's flags for Node, and configures it over its API. The
 * process under test is kept on `core`. Its embedded PostgreSQL is moved to `databaseCore`: the comparison is of what
 * proxies can do with one core each, and the database is a process of its own, which in production has cores of its own.
 * What it costs is measured and printed all the same.
 * @param environment further variables for it.
 */
export async function startGatehouse(
  providerUrl: string,
  cores: GatehouseCores,
  environment: Readonly<Record<string, string>> = {},
): Promise<BenchGatehouse> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'));
  // PostgreSQL refuses root and runs as another user then, who must be able to walk to the data directory.
  await chmod(directory, 0o755);
  const adminKey = `test-admin-${randomBytes(12).toString('hex')}`;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(directory, 'gatehouse.log');
  const { nodeFlags } = (await import(launcher)) as { nodeFlags: readonly string[] };
  const started = await startNode(main, ['serve'], {
    core: cores.core,
    nodeFlags,
    logFile,
    env: {
      PORT: String(port),
      HOST: '127.0.0.1',
      DATABASE_URL: '',
      GATEHOUSE_DATA_DIR: join(directory, 'data'),
      GATEHOUSE_ADMIN_KEY: adminKey,
      GATEHOUSE_DRAIN_SECONDS: '0',
      // Every limit decides, and none is reached.
      GATEHOUSE_CONFIG: raisedLimits,
      ...environment,
    },
  });
  async function stop(): Promise<void> {
    await started.stop();
    await rm(directory, { recursive: true, force: true });
  }
  try {
    const api = adminApi(url, adminKey);
    await until('Gatehouse is ready', readyMs, () => isReady(url), started);
    // It reads its own documentation then, on the core that is measured.
    const hasGreeted = async () => (await readFile(logFile, 'utf8')).includes('Gatehouse is ready.');
    await until('first boot is over', readyMs, hasGreeted, started);
    const apiKey = await configure(api, providerUrl);
    await until('the route answers', readyMs, () => answers(url, apiKey), started);
    const ledgerCalls = async (tenants: readonly string[]): Promise<number> => {
      const summaries = tenants.map((tenant) => api(tenant, 'GET', 'costs/summary'));
      return (await Promise.all(summaries)).reduce<number>(
        (total, summary) => total + (summary as { calls: number }).calls,
        0,
      );
    };
    const isBooked = async () => (await ledgerCalls([homeTenant])) > 0;
    await until('the call just made is in the ledger', readyMs, isBooked, started);
    const callsBefore = await ledgerCalls([homeTenant]);
    const { databaseCore } = cores;
    if (databaseCore !== undefined) for (const pid of descendantsOf(started.pid)) pin(pid, databaseCore);
    return {
      url,
      process: started,
      apiKey,
      api,
      databaseCpuMs: () => descendantsOf(started.pid).reduce((total, pid) => total + cpuMsOf(pid), 0),
      ledgerCalls: async (tenants) =>
        (await ledgerCalls(tenants)) - (tenants.includes(homeTenant) ? callsBefore : 0),
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

/** @returns an ordinary key of the tenant `demo`. */
async function configure(api: AdminApi, providerUrl: string): Promise<string> {
  await api(null, 'POST', 'providers', {
    name: 'sim',
    kind: 'openai',
    base_url: `${providerUrl}/v1`,
    api_key: 'sk-test',
  });
  await api(null, 'PUT', 'routes/bench', {
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
  });
  const made = await api(homeTenant, 'POST', 'keys', { name: 'bench', role: 'analyst' });
  return (made as { key: string }).key;
}

function adminApi(url: string, adminKey: string): AdminApi {
  return async (tenant, method, path, body) => {
    const response = await fetch(`${url}/api/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${adminKey}`,
        ...(tenant !== null && { 'x-tenant-id': tenant }),
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
