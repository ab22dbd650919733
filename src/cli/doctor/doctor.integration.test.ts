import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { redisIsInstalled, startRedis } from '../../../test/harness/redis.ts';
import { startS3 } from '../../../test/harness/s3.ts';
import { systemClock } from '../../platform/clock.ts';
import { openDataDirectory } from '../../platform/data-directory.ts';
import { identifyProcess } from '../../platform/process-identity.ts';
import { createOutput } from '../output.ts';
import { doctor } from './doctor.ts';
import type { Finding } from './finding.ts';

const program = fileURLToPath(new URL('../../main.ts', import.meta.url));
let folder: string;
let dataDir: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-doctor-test-'));
  dataDir = join(folder, 'data');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Diagnosis {
  readonly exitCode: number;
  readonly status: string;
  readonly text: string;
  about(check: string): Finding[];
}

async function diagnose(
  environment: Record<string, string>,
  values: Parameters<typeof doctor>[0] = {},
): Promise<Diagnosis> {
  let text = '';
  const stream = { write: (more: string) => (text += more) };
  const output = createOutput({
    stdout: stream,
    stderr: stream,
    environment: {},
    json: true,
    nowMs: () => 0,
  });
  const exitCode = await doctor(values, {
    // Port 0 keeps what runs on this machine out of the picture.
    environment: { GATEHOUSE_DATA_DIR: dataDir, PORT: '0', ...environment },
    output,
    clock: systemClock,
    interruption: () => new AbortController().signal,
  });
  return { exitCode, text, ...read(text) };
}

function read(text: string) {
  const { status, findings } = JSON.parse(text) as { status: string; findings: Finding[] };
  return { status, about: (check: string) => findings.filter((finding) => finding.check === check) };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port where nothing listens: one that was just given back. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return port;
}

describe('doctor, before the first start', () => {
  it('finds nothing wrong and leaves no trace', async () => {
    const diagnosis = await diagnose({});
    expect(diagnosis).toMatchObject({ exitCode: 0, status: 'ok' });
    expect(diagnosis.about('embedded programs')).toMatchObject([{ status: 'ok' }]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('lists everything that is wrong with the configuration', async () => {
    const diagnosis = await diagnose({ PORT: 'eighty', DATABASE_URL: 'mysql://x', GATEHOUSE_DATADIR: 'x' });
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.about('configuration')).toMatchObject([
      { status: 'problem', detail: expect.stringContaining('PORT must be a whole number') },
      { status: 'problem', detail: expect.stringContaining('DATABASE_URL must be a URL') },
      { status: 'warning', remedy: 'Did you mean GATEHOUSE_DATA_DIR?' },
    ]);
  });
});

describe('Redis', () => {
  it('is not needed', async () => {
    const diagnosis = await diagnose({});
    expect(diagnosis.about('redis')).toMatchObject([
      { status: 'ok', detail: expect.stringContaining('not used') },
    ]);
  });

  it('is not there', async () => {
    const port = await closedPort();
    const diagnosis = await diagnose({ REDIS_URL: `redis://:test-secret@127.0.0.1:${port}` });
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.about('redis')).toMatchObject([
      { status: 'problem', detail: expect.stringContaining(`127.0.0.1:${port}`) },
    ]);
    expect(diagnosis.text).not.toContain('test-secret');
  });

  it.skipIf(!redisIsInstalled)('answers, or does not know the password', async () => {
    const redis = await startRedis();
    try {
      expect((await diagnose({ REDIS_URL: redis.url })).about('redis')).toMatchObject([
        { status: 'ok', detail: expect.stringContaining('version 7') },
      ]);
      const stranger = await diagnose({ REDIS_URL: redis.url.replace(redis.password, 'wrong-password') });
      expect(stranger.about('redis')).toMatchObject([
        { status: 'problem', detail: expect.stringMatching(/WRONGPASS|password/) },
      ]);
      expect(stranger.text).not.toContain('wrong-password');
    } finally {
      await redis.stop();
    }
  });
});

describe('the port', () => {
  it('is taken by another program, which is named', async () => {
    const server = createServer((socket) => socket.end('not HTTP\n'));
    const port = await listening(server);
    try {
      const diagnosis = await diagnose({ PORT: String(port) });
      expect(diagnosis.exitCode).toBe(1);
      const [finding] = diagnosis.about('port');
      expect(finding).toMatchObject({
        status: 'problem',
        remedy: expect.stringContaining(`PORT=${port + 1}`),
      });
      if (process.platform === 'linux') expect(finding?.detail).toContain(`process ${process.pid}`);
    } finally {
      server.close();
    }
  });

  it('belongs to an address that this machine does not have', async () => {
    // 192.0.2.0/24 is set aside for documentation (RFC 5737), so nobody has it.
    const diagnosis = await diagnose({ HOST: '192.0.2.1', PORT: '8080' });
    expect(diagnosis.about('port')).toMatchObject([
      { status: 'problem', detail: 'HOST=192.0.2.1 is not an address of this machine' },
    ]);
  });
});

describe('the data directory', () => {
  it('is a file', async () => {
    writeFileSync(dataDir, 'not a directory');
    const diagnosis = await diagnose({});
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.about('data directory')).toMatchObject([
      { status: 'problem', detail: `${dataDir} is not a directory.` },
    ]);
  });

  it('cannot be written by this user', async () => {
    mkdirSync(dataDir, { mode: 0o755 });
    const { findings } = await asOrdinaryUser();
    expect(findings.filter(({ check }) => check === 'data directory')).toMatchObject([
      { status: 'problem', detail: expect.stringMatching(/cannot be written|belongs to another user/) },
    ]);
    // One problem, not one for everything inside.
    expect(findings.filter(({ status }) => status === 'problem')).toHaveLength(1);
  });

  it('was made by a version from the future', async () => {
    openDataDirectory(dataDir).release();
    writeFileSync(join(dataDir, 'VERSION'), '{"layout":99,"postgresql":18}');
    const diagnosis = await diagnose({});
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.about('data directory')).toMatchObject([
      { status: 'problem', detail: expect.stringContaining('newer Gatehouse (data layout 99') },
    ]);
  });

  it('is in use by a Gatehouse that runs', async () => {
    const held = openDataDirectory(dataDir);
    try {
      const [finding] = (await diagnose({})).about('lock');
      expect(finding).toMatchObject({
        status: 'ok',
        detail: expect.stringContaining(`process ${process.pid}`),
      });
    } finally {
      held.release();
    }
  });

  it('still has the lock of one that was killed', async () => {
    openDataDirectory(dataDir).release();
    const child = await started();
    const killed = identifyProcess(child.pid ?? 0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    writeFileSync(join(dataDir, 'gatehouse.pid'), JSON.stringify(killed));
    const diagnosis = await diagnose({});
    expect(diagnosis.exitCode).toBe(0);
    expect(diagnosis.about('lock')).toMatchObject([
      {
        status: 'warning',
        detail: expect.stringContaining(`process ${killed?.pid} ended without a shutdown`),
      },
    ]);
  });

  it('holds a damaged master key', async () => {
    openDataDirectory(dataDir).release();
    writeFileSync(join(dataDir, 'master.key'), 'c2hvcnQ=\n', { mode: 0o644 });
    const diagnosis = await diagnose({});
    expect(diagnosis.about('master key')).toMatchObject([
      { status: 'problem', detail: expect.stringContaining('damaged') },
    ]);
    expect(diagnosis.text).not.toContain('c2hvcnQ');
  });

  it('holds a master key that others may read', async () => {
    openDataDirectory(dataDir).release();
    const key = Buffer.alloc(32, 7).toString('base64');
    writeFileSync(join(dataDir, 'master.key'), `${key}\n`, { mode: 0o600 });
    chmodSync(join(dataDir, 'master.key'), 0o644);
    const diagnosis = await diagnose({});
    expect(diagnosis.about('master key')).toMatchObject([{ status: 'ok' }, { status: 'warning' }]);
    expect(diagnosis.text).not.toContain(key);
  });
});

/**
 * Runs the program itself: modes do not bind root, so as root it becomes the unprivileged user first. A Node that such
 * a user may not reach is no case of ours.
 */
async function asOrdinaryUser(): Promise<{ findings: Finding[] }> {
  chmodSync(folder, 0o755);
  const isRoot = process.geteuid?.() === 0;
  if (!isRoot) chmodSync(dataDir, 0o555);
  const [command = '', ...prefix] = isRoot
    ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath]
    : [process.execPath];
  const stdout = await new Promise<string>((resolve) => {
    execFile(
      command,
      [...prefix, program, 'doctor', '--json'],
      { cwd: '/', env: { PATH: process.env.PATH, GATEHOUSE_DATA_DIR: dataDir, PORT: '0' } },
      // It ends with 1 because it found the problem; what it says is what counts.
      (_error, out, err) => resolve(out || err),
    );
  });
  return JSON.parse(stdout);
}

async function started(): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  return child;
}

describe('a database of our own', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await createTestDatabase();
  });
  afterAll(() => test.drop());

  it('is reached, and all is well', async () => {
    const diagnosis = await diagnose({ DATABASE_URL: test.url });
    expect(diagnosis.exitCode).toBe(0);
    expect(diagnosis.about('database')).toMatchObject([
      { status: 'ok', detail: expect.stringMatching(/^PostgreSQL \d+.* answers in/) },
    ]);
    expect(diagnosis.about('database role')).toMatchObject([{ status: 'ok' }]);
    expect(diagnosis.about('schema')).toMatchObject([{ status: 'ok', detail: 'up to date' }]);
    expect(diagnosis.about('embedded server')).toMatchObject([{ status: 'skipped' }]);
  });

  it('cannot be reached', async () => {
    const diagnosis = await diagnose({
      DATABASE_URL: `postgres://gatehouse:hunter2@127.0.0.1:${await closedPort()}/gatehouse`,
    });
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.about('database')).toMatchObject([
      {
        status: 'problem',
        detail: expect.stringContaining('ECONNREFUSED'),
        remedy: expect.stringContaining('Start'),
      },
    ]);
    expect(diagnosis.text).not.toContain('hunter2');
  });

  it('does not exist', async () => {
    const diagnosis = await diagnose({ DATABASE_URL: test.url.replace(/test_[0-9a-f]+/, 'absent') });
    expect(diagnosis.about('database')).toMatchObject([
      { status: 'problem', remedy: expect.stringContaining('CREATE DATABASE') },
    ]);
  });

  it('lets in another role than the one that made its tables', async () => {
    const role = `limited_${process.pid}`;
    await sql`create role ${sql.id(role)} login`.execute(test.database.platform);
    try {
      const diagnosis = await diagnose({ DATABASE_URL: test.url.replace(/\/\/[^@]+@/, `//${role}@`) });
      expect(diagnosis.about('database role')).toMatchObject([
        { status: 'problem', remedy: expect.stringMatching(`GRANT \\w+ TO ${role};`) },
      ]);
    } finally {
      await sql`drop role ${sql.id(role)}`.execute(test.database.platform);
    }
  });

  it('was changed by a newer version', async () => {
    const { platform } = test.database;
    await sql`insert into gatehouse_migrations (name, run_on) values ('9999_later', now())`.execute(platform);
    try {
      const diagnosis = await diagnose({ DATABASE_URL: test.url });
      expect(diagnosis.exitCode).toBe(1);
      expect(diagnosis.about('schema')).toMatchObject([
        { status: 'problem', detail: expect.stringContaining('9999_later') },
      ]);
    } finally {
      await sql`delete from gatehouse_migrations where name = '9999_later'`.execute(platform);
    }
  });

  it('holds secrets that another master key sealed', async () => {
    const { platform } = test.database;
    await sql`insert into platform_settings (name, value, updated_at)
      values ('master_key_fingerprint', '{"fingerprint": "0123456789abcdef"}', now())`.execute(platform);
    try {
      const withAnother = await diagnose({
        DATABASE_URL: test.url,
        GATEHOUSE_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
      });
      expect(withAnother.about('master key')).toMatchObject([
        {
          status: 'problem',
          detail:
            'GATEHOUSE_MASTER_KEY is not the key that sealed the stored secrets: the one with the fingerprint 0123456789abcdef is missing',
        },
      ]);
      const without = await diagnose({ DATABASE_URL: test.url });
      expect(without.about('master key')).toMatchObject([
        { status: 'problem', detail: expect.stringContaining('gone') },
      ]);
    } finally {
      await sql`delete from platform_settings where name = 'master_key_fingerprint'`.execute(platform);
    }
  });
});

describe('providers, when they may be asked', () => {
  it('are told apart: one that refuses its key, one that is not there', async () => {
    const { createServer: createHttpServer } = await import('node:http');
    const provider = createHttpServer((request, response) => {
      response.statusCode = request.headers.authorization === 'Bearer good-test-key' ? 200 : 401;
      response.end('{}');
    });
    const port = await listening(provider);
    const base = `http://127.0.0.1:${port}/v1`;
    try {
      const good = await diagnose(
        { OPENAI_API_KEY: 'good-test-key', OPENAI_BASE_URL: base },
        { online: true },
      );
      expect(good.about('providers')).toMatchObject([{ status: 'ok', detail: 'openai accepts its key' }]);
      const bad = await diagnose(
        {
          OPENAI_API_KEY: 'bad-test-key',
          OPENAI_BASE_URL: base,
          OLLAMA_BASE_URL: `http://127.0.0.1:${await closedPort()}`,
        },
        { online: true },
      );
      expect(bad.exitCode).toBe(1);
      expect(bad.about('providers')).toMatchObject([
        { status: 'problem', detail: 'openai does not accept its key (401)' },
        { status: 'problem', detail: expect.stringContaining('ollama cannot be reached') },
      ]);
      expect(bad.text).not.toContain('bad-test-key');
    } finally {
      provider.close();
    }
  });
});

describe('doctor', () => {
  it('leaves a data directory as it found it', async () => {
    openDataDirectory(dataDir).release();
    const before = listing();
    await diagnose({});
    expect(listing()).toEqual(before);
    expect(existsSync(join(dataDir, 'master.key'))).toBe(false);
  });
});

const listing = () =>
  readdirSync(dataDir)
    .sort()
    .map((name) => [name, statSync(join(dataDir, name)).mtimeMs]);

describe('S3', () => {
  it('is not used, or has the bucket, or does not', async () => {
    expect((await diagnose({})).about('s3')).toMatchObject([{ status: 'ok' }]);
    const s3 = await startS3();
    try {
      expect((await diagnose(s3.env)).about('s3')).toMatchObject([{ status: 'ok' }]);
      const without = await diagnose({ ...s3.env, S3_BUCKET: 'another' });
      expect(without.about('s3')).toMatchObject([
        { status: 'problem', detail: expect.stringMatching(/bucket another at 127.* \(404/) },
      ]);
    } finally {
      await s3.stop();
    }
  });
});
