import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifyProcess } from '../../process-identity.ts';
import { createEmbeddedPostgres, type EmbeddedPostgres, inspectEmbeddedPostgres } from './index.ts';
import { findServerProcesses } from './server-processes.ts';

const isRoot = process.geteuid?.() === 0;
const isLinux = process.platform === 'linux';
const serverUid = isRoot ? 65_534 : process.geteuid?.();
const silent = { info: () => {}, warn: () => {}, error: () => {} };

let parent: string;
let dataDir: string;
let started: EmbeddedPostgres[];
let children: ChildProcess[];

beforeEach(() => {
  // Mode 0700, so as root every test runs with a parent directory that the server's own user cannot enter.
  parent = mkdtempSync(join(tmpdir(), 'gh-'));
  dataDir = join(parent, 'data');
  started = [];
  children = [];
});

afterEach(async () => {
  for (const child of children)
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  for (const server of started) await server.stop();
  for (const { pid } of await findServerProcesses(files())) killIfThere(pid);
  rmSync(parent, { recursive: true, force: true });
});

const files = () => join(dataDir, 'postgres');

async function start(overrides: Partial<Parameters<typeof createEmbeddedPostgres>[0]> = {}) {
  const server = createEmbeddedPostgres({ dataDir, log: silent, ...overrides });
  started.push(server);
  return { server, ...(await server.start()) };
}

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 3_000; tries++) {
    if (await isSo()) return;
    await pause(10);
  }
  throw new Error(`waited in vain until ${what}`);
}

const moduleIn = (name: string) => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));

/** A Node process that runs `script` and then stays, to be killed. Resolves with the first line it prints. */
async function inChildProcess(script: string, prefix: readonly string[] = []) {
  const stay = `${script}\nsetInterval(() => {}, 1000);`;
  const [command = '', ...args] = [...prefix, process.execPath, '--input-type=module', '--eval', stay];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const printed = new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk) => resolve(String(chunk).trim()));
    child.once('exit', () => reject(new Error(`the process ended: ${errors}`)));
  });
  printed.catch(() => {});
  return { child, printed };
}

const startScript = (directory: string) => `
  const { createEmbeddedPostgres } = await import(${moduleIn('./index.ts')});
  const log = { info() {}, warn() {}, error() {} };
  console.log((await createEmbeddedPostgres({ dataDir: ${JSON.stringify(directory)}, log }).start()).url);`;

async function killHard(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const isGone = (pid: number) => identifyProcess(pid) === null;

async function thePostmaster(): Promise<number> {
  const postmasters = (await findServerProcesses(files())).filter((found) => found.isPostmaster);
  expect(postmasters).toHaveLength(1);
  return postmasters[0]?.pid ?? 0;
}

/** One that ends by itself between being found and being ended is as good as ended. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

describe('a first start', () => {
  it('gives a database in UTF-8 that belongs to a role without superpowers', async () => {
    const { url, created } = await start();
    expect(created).toBe(true);
    const [row] = await query(
      url,
      `SELECT current_user::text AS me, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls,
        pg_encoding_to_char(d.encoding) AS encoding, d.datlocale, pg_get_userbyid(d.datdba) AS owner,
        current_setting('data_checksums') AS checksums, current_setting('fsync') AS fsync,
        current_setting('listen_addresses') AS listens, current_setting('server_version_num')::int / 10000 AS major
      FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`,
    );
    expect(row).toEqual({
      me: 'gatehouse',
      rolsuper: false,
      rolcreaterole: true,
      rolcreatedb: true,
      rolbypassrls: false,
      encoding: 'UTF8',
      datlocale: 'C.UTF-8',
      owner: 'gatehouse',
      checksums: 'on',
      fsync: 'on',
      listens: '',
      major: 18,
    });
  });

  it('lets the owner make the application role and act as it', async () => {
    const { url } = await start();
    await query(url, 'CREATE ROLE gatehouse_app NOLOGIN; GRANT gatehouse_app TO gatehouse');
    const [row] = await query(`${url}&options=-c%20role%3Dgatehouse_app`, 'SELECT current_user::text AS me');
    expect(row).toEqual({ me: 'gatehouse_app' });
  });

  it('keeps the files and the socket for its own user, and everything else for the one who runs Gatehouse', async () => {
    const { host } = await start();
    expect(host).toBe(join(dataDir, 'run'));
    for (const directory of [files(), host]) {
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      expect(statSync(directory).uid).toBe(serverUid);
    }
    expect(lstatSync(join(host, '.s.PGSQL.5432')).mode & 0o777).toBe(0o700);
    expect(statSync(dataDir).uid).toBe(process.geteuid?.());
    expect(statSync(join(dataDir, 'postgres.log')).mode & 0o777).toBe(0o600);
  });

  it('is ended by stop without a trace of a process, and started again with its data', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS n');
    await first.server.stop();
    expect(await findServerProcesses(files())).toEqual([]);
    expect((await inspectEmbeddedPostgres(dataDir)).running).toBeNull();
    const second = await start();
    expect(second.created).toBe(false);
    expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
    expect(await inspectEmbeddedPostgres(dataDir)).toMatchObject({
      initialised: true,
      running: { pid: await thePostmaster(), connection: { url: second.url } },
    });
  });

  it('can be given up while it is under way', async () => {
    const server = createEmbeddedPostgres({ dataDir, log: silent });
    const starting = server.start().catch(() => {});
    await server.stop();
    await starting;
    expect(await findServerProcesses(files())).toEqual([]);
    expect(await query((await start()).url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('ended at any moment leaves nothing that a later start trips over', async () => {
    const { child } = await inChildProcess(startScript(dataDir));
    await until('the files are being made', () => existsSync(dataDir) && readdirSync(dataDir).length > 0);
    await killHard(child);
    mkdirSync(join(dataDir, 'postgres.unfinished-0123456789ab', 'base'), { recursive: true });
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    await until('leftovers are gone', async () => {
      await started.at(-1)?.stop();
      await start();
      return !readdirSync(dataDir).some((name) => name.includes('unfinished'));
    });
  });
});

describe('after a kill -9', () => {
  it('of Gatehouse, the next start has the data and is the only server', async () => {
    const { child, printed } = await inChildProcess(startScript(dataDir));
    await query(await printed, 'CREATE TABLE kept AS SELECT 7 AS n');
    const earlier = await thePostmaster();
    await killHard(child);
    const { url } = await start();
    expect(await query(url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
    expect(await thePostmaster()).not.toBe(earlier);
    expect(isGone(earlier)).toBe(true);
  });

  it.runIf(isLinux)('of Gatehouse, the server shuts itself down', async () => {
    const { child, printed } = await inChildProcess(startScript(dataDir));
    await printed;
    await killHard(child);
    await until('no server is left', async () => (await findServerProcesses(files())).length === 0);
  });

  it('stops a server that was left running, with a session on it', async () => {
    await (await start()).server.stop();
    // Without the tie that ends the server together with its starter, which not every system has.
    chmodSync(parent, 0o755);
    chmodSync(dataDir, 0o755);
    const { child, printed } = await inChildProcess(`
      const { findBinaries } = await import(${moduleIn('./binaries.ts')});
      const { launchServer } = await import(${moduleIn('./launch.ts')});
      const { waysToRun } = await import(${moduleIn('./server-user.ts')});
      const { serverSettings } = await import(${moduleIn('./settings.ts')});
      const { systemClock } = await import(${moduleIn('../../clock.ts')});
      const dataDir = ${JSON.stringify(dataDir)};
      const [user] = waysToRun(${isRoot}, null);
      const settings = serverSettings(dataDir + '/run');
      const signal = new AbortController().signal;
      const binaries = await findBinaries(dataDir);
      console.log((await launchServer({ dataDir, binaries, user, settings, clock: systemClock, signal })).pid);`);
    const orphan = Number(await printed);
    const session = new pg.Client({ host: join(dataDir, 'run'), user: 'gatehouse', database: 'gatehouse' });
    session.on('error', () => {});
    await session.connect();
    await killHard(child);
    expect(isGone(orphan)).toBe(false);
    const { url } = await start();
    expect(isGone(orphan)).toBe(true);
    expect(await thePostmaster()).not.toBe(orphan);
    expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('of the server and Gatehouse together, recovers over the stale pid file', async () => {
    const { child, printed } = await inChildProcess(startScript(dataDir));
    await query(await printed, 'CREATE TABLE kept AS SELECT 7 AS n');
    for (const { pid } of await findServerProcesses(files())) killIfThere(pid);
    await killHard(child);
    expect(existsSync(join(files(), 'postmaster.pid'))).toBe(true);
    const { url } = await start();
    expect(await query(url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  });

  it('is not held up by a pid file whose number went to another program', async () => {
    await (await start()).server.stop();
    const as = isRoot ? { uid: 65_534, gid: 65_534 } : {};
    const other = spawn('/bin/sleep', ['1000'], { stdio: 'ignore', cwd: '/', ...as });
    children.push(other);
    await once(other, 'spawn');
    writeFileSync(
      join(files(), 'postmaster.pid'),
      `${other.pid}\n${files()}\n1790000000\n5432\n${dataDir}/run\n\n  1234567         0\nready   \n`,
    );
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    expect(isGone(other.pid ?? 0)).toBe(false);
  });

  it('of the server alone, it is started again at the same address', async () => {
    const { url } = await start();
    await query(url, 'CREATE TABLE kept AS SELECT 7 AS n');
    const killed = await thePostmaster();
    process.kill(killed, 'SIGKILL');
    const isBack = () =>
      query(url, 'SELECT n FROM kept').then(
        (rows) => rows[0]?.n === 7,
        () => false,
      );
    await until('it answers again', async () => isGone(killed) && (await isBack()));
    expect(await thePostmaster()).not.toBe(killed);
  });
});

describe('places', () => {
  it('a path too long for a socket gets one elsewhere, in a private directory that goes with the server', async () => {
    dataDir = join(parent, 'long'.repeat(30), 'with, comma "quote" and space');
    const { url, host, server } = await start();
    expect(host.startsWith(dataDir)).toBe(false);
    expect(statSync(host).mode & 0o777).toBe(0o700);
    expect(statSync(host).uid).toBe(serverUid);
    expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    await server.stop();
    expect(existsSync(host)).toBe(false);
  });

  it('a socket directory that someone else put in place of ours is not used', async () => {
    dataDir = join(parent, 'long'.repeat(30));
    const trap = join(parent, 'trap');
    mkdirSync(trap, { mode: 0o777 });
    chmodSync(trap, 0o777);
    mkdirSync(dataDir, { recursive: true });
    symlinkSync(trap, join(dataDir, 'run'));
    const { host } = await start();
    expect(host).not.toBe(trap);
    expect(readlinkSync(join(dataDir, 'run'))).toBe(host);
    expect(readdirSync(trap)).toEqual([]);
  });

  it.runIf(isRoot && isLinux)(
    'as root, the server is another user with no more than the right to pass',
    async () => {
      await start();
      const status = readFileSync(`/proc/${await thePostmaster()}/status`, 'utf8');
      expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
      expect(status).toMatch(/^Groups:\t? *$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      // Bits 1 and 2 (capabilities(7)): dac_override, which containers have, and dac_read_search.
      const effective = Number.parseInt(status.match(/^CapEff:\t(\w+)$/m)?.[1] ?? '', 16);
      expect([1 << 1, 1 << 2]).toContain(effective);
    },
  );

  it.runIf(isRoot && isLinux)('as root, no privilege at all is kept where every user may pass', async () => {
    chmodSync(parent, 0o755);
    mkdirSync(dataDir, { mode: 0o755 });
    await start();
    const status = readFileSync(`/proc/${await thePostmaster()}/status`, 'utf8');
    expect(status).toMatch(/^CapEff:\t0+$/m);
  });

  it.runIf(isRoot && isLinux)(
    'as root, no other user gets in, not even the one the server runs as',
    async () => {
      chmodSync(parent, 0o755);
      mkdirSync(dataDir, { mode: 0o755 });
      const { host } = await start();
      // Past the directory's mode, as whoever shares the server's user is, the server itself must say no.
      for (const uid of ['65534', '12345']) {
        const script = `
        const { connect } = await import('node:net');
        const start = Buffer.from('\\0\\x03\\0\\0user\\0gatehouse\\0database\\0gatehouse\\0\\0', 'latin1');
        const length = Buffer.alloc(4);
        length.writeInt32BE(start.length + 4);
        const socket = connect(${JSON.stringify(join(host, '.s.PGSQL.5432'))});
        socket.on('connect', () => socket.write(Buffer.concat([length, start])));
        socket.on('data', (reply) => { console.log(reply.toString('latin1').includes('28000') ? 'refused' : 'in'); process.exit(); });
        socket.on('error', (error) => { console.log(error.code); process.exit(); });`;
        const said = execFileSync(
          '/usr/bin/setpriv',
          [
            '--reuid',
            uid,
            '--regid',
            uid,
            '--clear-groups',
            process.execPath,
            '--input-type=module',
            '-e',
            script,
          ],
          { encoding: 'utf8', cwd: '/' },
        );
        expect(said.trim()).toBe(uid === '65534' ? 'refused' : 'EACCES');
      }
    },
  );

  it.runIf(isRoot && isLinux)('works for an ordinary user', async () => {
    chmodSync(parent, 0o755);
    const home = join(parent, 'home');
    mkdirSync(home);
    chownSync(home, 65_534, 65_534);
    dataDir = join(home, 'data');
    const asUser = [
      '/usr/bin/setpriv',
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      '--inh-caps=-all',
    ];
    const { printed } = await inChildProcess(
      `${startScript(dataDir)}\nprocess.on('SIGTERM', () => process.exit());`,
      asUser,
    );
    expect(await printed).toContain('postgresql://gatehouse@localhost/');
    expect(statSync(files()).uid).toBe(65_534);
  });
});

describe('what cannot work', () => {
  it('is told with the last words of the server', async () => {
    await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
    });
    expect(await findServerProcesses(files())).toEqual([]);
  });

  it.each([
    ['of another PostgreSQL', { PG_VERSION: '17\n' }, 'PostgreSQL 17'],
    ['that are something else', { 'my-notes.txt': 'x' }, 'is not a PostgreSQL database'],
  ])('files %s are refused and left alone', async (_, contents, words) => {
    mkdirSync(files(), { recursive: true });
    for (const [name, text] of Object.entries(contents)) writeFileSync(join(files(), name), text);
    await expect(start()).rejects.toMatchObject({
      code: 'data_directory',
      message: expect.stringContaining(words),
    });
    expect(readdirSync(files())).toEqual(Object.keys(contents));
  });
});
