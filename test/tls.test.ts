import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get as getPlain } from 'node:http';
import { get, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

/*
 * A server that shows a certificate of a company's own authority, and those who call it: programs and the command line.
 */
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tls-story-'));
const at = (name: string) => join(folder, name);
let database: TestDatabase;
let server: RunningServer;
let port: number;

function openssl(...given: string[]): void {
  execFileSync('openssl', given, { stdio: 'ignore' });
}

/** A certificate of the authority `ca.pem` for the names, in `<name>.pem` and `<name>.key`. */
function certify(name: string, alternatives: string, days: number): void {
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    at(`${name}.key`),
    '-out',
    at('csr'),
  );
  writeFileSync(at('extensions'), `subjectAltName=${alternatives}\n`);
  const signing = [
    'x509',
    '-req',
    '-in',
    at('csr'),
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
  ];
  openssl(...signing, '-days', String(days), '-extfile', at('extensions'), '-out', at(`${name}.pem`));
}

beforeAll(async () => {
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Test authority'];
  openssl(...request, '-days', '2', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  certify('server', 'DNS:localhost', 30);
  certify('ending', 'DNS:localhost', 2);
  database = await createTestDatabase();
  server = await startServer({
    env: {
      DATABASE_URL: database.url,
      HOST: 'localhost',
      TLS_CERT_FILE: at('server.pem'),
      TLS_KEY_FILE: at('server.key'),
      LOG_LEVEL: 'warn',
    },
  });
  port = Number(new URL(server.url).port);
});
afterAll(async () => {
  await server?.stop();
  if (server) await removeDirectory(server.dataDir);
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** @returns the status and headers, or the code of the error. */
const ask = (options: RequestOptions = {}) =>
  new Promise<{
    status?: number | undefined;
    hsts?: string | undefined;
    code?: string | undefined;
    message?: string;
  }>((resolve) => {
    const ca = readFileSync(at('ca.pem'));
    get({ host: 'localhost', port, path: '/health/live', ca, ...options }, (reply) => {
      reply.resume();
      resolve({ status: reply.statusCode, hsts: reply.headers['strict-transport-security'] });
    }).on('error', ({ code, message }: NodeJS.ErrnoException) => resolve({ code, message }));
  });

/** The command line, with nothing of this process's environment. */
const run = (env: Record<string, string>, ...given: string[]) =>
  promisify(execFile)(process.execPath, [main, ...given], {
    env: { PATH: process.env.PATH, HOME: folder, GATEHOUSE_API_KEY: testAdminKey, ...env },
  })
    .then(({ stdout, stderr }) => ({ code: 0, stdout, stderr }))
    .catch(({ code, stdout, stderr }) => ({ code, stdout, stderr }));

describe('a server with a certificate', () => {
  it('speaks TLS 1.3 and nothing older, tells browsers to stay with it, and answers nobody in plain', async () => {
    expect(server.url).toMatch(/^https:/);
    expect(await ask()).toMatchObject({ status: 200, hsts: expect.stringMatching(/^max-age=\d{7,}/) });
    const protocol = await new Promise<string | null>((resolve, reject) => {
      const socket = connect({
        host: 'localhost',
        port,
        ca: readFileSync(at('ca.pem')),
        servername: 'localhost',
      });
      socket.once('secureConnect', () => resolve(socket.end().getProtocol()));
      socket.once('error', reject);
    });
    expect(protocol).toBe('TLSv1.3');
    expect(await ask({ maxVersion: 'TLSv1.2' })).toMatchObject({
      message: expect.stringContaining('protocol version'),
    });
    const plain = await new Promise((resolve) => {
      getPlain({ host: 'localhost', port, path: '/health/live' }, (reply) => resolve(reply.statusCode)).on(
        'error',
        ({ code }: NodeJS.ErrnoException) => resolve(code),
      );
    });
    expect(plain).toBe('ECONNRESET');
  });

  it('is called by commands that were told whom to trust, and only by them', async () => {
    const url = ['--url', server.url];
    const trusting = [
      await run({}, 'keys', 'list', ...url, '--ca', at('ca.pem')),
      await run({ GATEHOUSE_CA_FILE: at('ca.pem'), GATEHOUSE_URL: server.url }, 'keys', 'list'),
      await run({ NODE_EXTRA_CA_CERTS: at('ca.pem') }, 'keys', 'list', ...url),
      // Where the server's own settings say that it speaks TLS, nobody need say so again.
      await run(
        {
          GATEHOUSE_CA_FILE: at('ca.pem'),
          HOST: 'localhost',
          PORT: String(port),
          TLS_CERT_FILE: at('server.pem'),
        },
        'keys',
        'list',
      ),
    ];
    expect(trusting.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      trusting.map(() => ({ code: 0, stderr: '' })),
    );
    const untrusting = await run({}, 'keys', 'list', ...url);
    expect(untrusting.code).toBe(1);
    expect(untrusting.stderr).toMatch(/not one that is trusted here.*--ca or GATEHOUSE_CA_FILE/);
    const misnamed = ['keys', 'list', '--url', `https://127.0.0.1:${port}`, '--ca', at('ca.pem')];
    const elsewhere = await run({}, ...misnamed);
    // The system may listen on ::1 only, and then nobody answers there.
    expect(elsewhere.stderr).toMatch(/for another name|nothing listens there/);
    expect((await run({}, 'keys', 'list', '--url', `http://localhost:${port}`)).stderr).toMatch(/https/);
    expect((await run({}, 'keys', 'list', ...url, '--ca', at('server.key'))).stderr).toMatch(
      /certificates in PEM/,
    );
  });

  it('is looked after by doctor: its time, its name and its key', async () => {
    const doctor = async (certificate: string, key = certificate, publicUrl = server.url) => {
      const env = {
        DATABASE_URL: database.url,
        GATEHOUSE_DATA_DIR: server.dataDir,
        GATEHOUSE_URL: server.url,
        GATEHOUSE_CA_FILE: at('ca.pem'),
        HOST: 'localhost',
        PORT: String(port),
        TLS_CERT_FILE: at(`${certificate}.pem`),
        TLS_KEY_FILE: at(`${key}.key`),
        GATEHOUSE_PUBLIC_URL: publicUrl,
      };
      const { findings } = JSON.parse((await run(env, 'doctor', '--json')).stdout);
      const of = (check: string) =>
        findings
          .filter((finding: any) => finding.check === check)
          .map(({ status, detail }: any) => `${status}: ${detail}`);
      return { certificate: of('certificate'), port: of('port'), server: of('server') };
    };
    const good = await doctor('server');
    expect(good.certificate).toEqual([expect.stringMatching(/^ok: valid until \d/)]);
    expect(good.port).toEqual([expect.stringMatching(/^ok: a Gatehouse answers/)]);
    expect(good.server).toEqual([expect.stringMatching(/^ok: .*https:/)]);
    expect((await doctor('ending')).certificate).toEqual([expect.stringMatching(/^warning: expires on/)]);
    expect((await doctor('server', 'ending')).certificate).toEqual([
      expect.stringMatching(/^problem: TLS_CERT_FILE/),
    ]);
    const misnamed = await doctor('server', 'server', 'https://models.example.com');
    expect(misnamed.certificate.at(-1)).toMatch(
      /^problem: is not for models\.example\.com, but for DNS:localhost/,
    );
  });
});
