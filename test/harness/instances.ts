import { randomBytes } from 'node:crypto';
import type { SimulatorOptions } from '../../tools/simulator/options.ts';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { startRedis, type TestRedis } from './redis.ts';
import {
  call,
  type LaunchedServer,
  launchServer,
  type Reply,
  type RunningServer,
  removeDirectory,
  startServer,
  temporaryDirectory,
} from './server.ts';

export interface InstancesOptions {
  /** How many are started; two when absent. Numbered from 0. */
  readonly count?: number;
  /** For all of them, over what they are given here. `LOG_LEVEL` and the like, or a setting under test. */
  readonly env?: Readonly<Record<string, string>>;
  /** For one of them, over `env`. */
  readonly envOf?: (i: number) => Readonly<Record<string, string>>;
  /** All are started at once, on a database that nobody served from before; else the first goes ahead. */
  readonly together?: boolean;
  /** False: none is started, and each gets to know nothing of Redis. */
  readonly redis?: boolean;
  readonly simulator?: SimulatorOptions;
  /** A migrated one to serve from, which is dropped in the end; a copy of the test run's when absent. */
  readonly database?: TestDatabase;
}

/** Whole servers on one database and one Redis, each with a data directory of its own, and one provider. */
export interface RunningInstances {
  readonly database: TestDatabase;
  /** @throws when there is none. */
  readonly redis: TestRedis;
  readonly simulator: Simulator;
  /** With `/v1`: what a provider's `base_url` takes. */
  readonly simulatorUrl: string;
  readonly count: number;
  /** The process that runs under the number now. */
  server(i: number): RunningServer;
  /** A request to instance i, with the owner's key unless another is given. */
  call(
    i: number,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
  callAs(
    i: number,
    key: string,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
  /** A tenant made at instance 0, with the key of its administrator. */
  tenant(slug: string, tier?: string): Promise<{ readonly id: string; readonly admin: string }>;
  /** Made at instance 0. */
  keyIn(slug: string, role: string, more?: object): Promise<string>;
  /** Puts a route of a tenant to the simulator, which is the provider `openai` of every tenant here. */
  routeToSimulator(admin: string, name: string, model?: string): Promise<void>;
  /** One more, started on a directory of its own. @returns its number. */
  add(env?: Readonly<Record<string, string>>): Promise<number>;
  /** One more that may not come up; it counts for nothing here, and its end is the caller's to see to. */
  launch(env?: Readonly<Record<string, string>>): Promise<LaunchedServer>;
  kill9(i: number): Promise<void>;
  /** Gracefully. @returns the exit code. */
  stopOne(i: number): Promise<number | null>;
  /** On the same directory and port, after `kill9` or `stopOne`. */
  restart(i: number, env?: Readonly<Record<string, string>>): Promise<void>;
  killRedis(): Promise<void>;
  /** Empty, on the same port. */
  startRedisAgain(): Promise<void>;
  /** Ends everything and removes it. */
  stop(): Promise<void>;
}

export async function startInstances(options: InstancesOptions = {}): Promise<RunningInstances> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const database = options.database ?? (await createTestDatabase());
    undo.push(() => database.drop());
    const redis = options.redis === false ? null : await startRedis();
    if (redis) undo.push(() => redis.stop());
    const simulator = createSimulator(options.simulator ?? { seed: 4 });
    const simulatorUrl = `${(await simulator.start()).url}/v1`;
    undo.push(() => simulator.stop());

    const masterKey = randomBytes(32).toString('base64');
    const environment = (i: number, more: Readonly<Record<string, string>> = {}) => ({
      DATABASE_URL: database.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      GATEHOUSE_MASTER_KEY: masterKey,
      OPENAI_API_KEY: 'sk-test-upstream',
      OPENAI_BASE_URL: simulatorUrl,
      DATABASE_POOL_MIN: '1',
      DATABASE_POOL_MAX: '10',
      LOG_LEVEL: 'warn',
      ...options.env,
      ...options.envOf?.(i),
      ...more,
    });
    const servers: RunningServer[] = [];
    const server = (i: number): RunningServer => {
      const found = servers[i];
      if (!found) throw new Error(`there is no instance ${i}`);
      return found;
    };
    const begin = async (i: number, more?: Readonly<Record<string, string>>): Promise<void> => {
      const started = await startServer({ env: environment(i, more) });
      servers[i] = started;
      undo.push(async () => {
        await server(i).kill9();
        await removeDirectory(started.dataDir);
      });
    };
    const all = Array.from({ length: options.count ?? 2 }, (_, i) => i);
    // The one that goes ahead has the first boot.
    if (!options.together) await begin(0);
    await Promise.all(all.slice(options.together ? 0 : 1).map((i) => begin(i)));

    const running: RunningInstances = {
      database,
      get redis() {
        if (!redis) throw new Error('these instances have no Redis');
        return redis;
      },
      simulator,
      simulatorUrl,
      get count() {
        return servers.length;
      },
      server,
      call: (i, method, path, body, headers) => server(i).call(method, path, body, headers),
      callAs: (i, key, method, path, body, headers) => call(server(i).url, key, method, path, body, headers),

      async tenant(slug, tier = 'enterprise') {
        const body = { name: slug, slug, tier, region: 'eu' };
        const made = expectOk(await running.call(0, 'POST', '/api/v1/tenants', body));
        return { id: made.id, admin: await running.keyIn(slug, 'admin') };
      },
      async keyIn(slug, role, more = {}) {
        const body = { name: `${role} of ${slug}`, role, ...more };
        return expectOk(await running.call(0, 'POST', '/api/v1/keys', body, { 'x-tenant-id': slug })).key;
      },
      async routeToSimulator(admin, name, model = 'gpt-4o-mini') {
        const route = { tiers: [{ targets: [{ provider: 'openai', model, weight: 1 }] }] };
        expectOk(await running.callAs(0, admin, 'PUT', `/api/v1/routes/${name}`, route));
      },

      async add(env) {
        const i = servers.length;
        await begin(i, env);
        return i;
      },
      async launch(env = {}) {
        const dataDir = await temporaryDirectory();
        undo.push(() => removeDirectory(dataDir));
        const launched = launchServer(dataDir, { env: environment(servers.length, env) });
        undo.push(async () => {
          launched.process.kill('SIGKILL');
          await launched.exited;
        });
        return launched;
      },
      kill9: (i) => server(i).kill9(),
      stopOne: (i) => server(i).stop(),
      async restart(i, more = {}) {
        const { url, dataDir } = server(i);
        servers[i] = await startServer({
          dataDir,
          env: environment(i, { PORT: new URL(url).port, ...more }),
        });
      },
      killRedis: () => running.redis.kill(),
      startRedisAgain: () => running.redis.startAgain(),
      stop,
    };
    return running;
  } catch (error) {
    await stop();
    throw error;
  }
}

function expectOk(reply: Reply): Reply['json'] {
  if (reply.status < 300) return reply.json;
  throw new Error(`${reply.status}: ${reply.text}`);
}
