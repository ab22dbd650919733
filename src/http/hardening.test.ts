import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openEntrance } from '../../test/harness/open-doors.ts';
import { effectivePermissions, type Principal } from '../access/index.ts';
import type { Routes } from '../platform/api.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createHttp, type HttpServer } from './index.ts';
import type { HttpDependencies } from './server.ts';

const analyst = {
  tenantId: 'tenant-of-the-test',
  role: 'analyst',
  permissions: effectivePermissions('analyst', []),
  tenant: {},
} as unknown as Principal;
const access = { permission: 'queries:run' } as const;
const routes: Routes = (api) => {
  api.get('/thing', { config: { access } }, async () => ({ ok: true }));
  api.post(
    '/echo',
    { config: { access }, schema: { body: z.object({ name: z.string() }) } },
    async (r) => r.body,
  );
  api.delete('/thing', { config: { access } }, async (_request, reply) =>
    reply.code(204).send(null as never),
  );
};

let http: HttpServer | undefined;
afterEach(async () => {
  await http?.stop(1_000);
  http = undefined;
});

async function serve(more: Partial<HttpDependencies> = {}): Promise<number> {
  http = await createHttp({
    limits: openEntrance(),
    access: { authenticate: () => analyst },
    clock: systemClock,
    newId: createIds(systemClock, systemRandom),
    log: createLog('silent'),
    metrics: createMetrics(),
    version: '0.0.0',
    rootRoutes: [],
    modelRoutes: [routes],
    platformRoutes: [routes],
    ...more,
  });
  return http.listen('127.0.0.1', 0);
}

/** Sends text as it is. @returns all that came back until the server closed. */
function raw(port: number, ...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (piece) => {
      text += piece;
    });
    socket.once('close', () => resolve(text));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(text);
      else reject(error);
    });
    for (const part of parts) socket.write(part);
  });
}

const head = (...lines: string[]) =>
  `${['POST /api/v1/echo HTTP/1.1', 'Host: a', ...lines].join('\r\n')}\r\n\r\n`;
const json = 'Content-Type: application/json';

describe('what browsers are told', () => {
  it('lets them do nothing with what the interface answers, refusals too', async () => {
    await serve();
    for (const url of ['/api/v1/thing', '/api/v1/nowhere']) {
      const { headers } = (await http?.api.inject({ url })) ?? { headers: {} };
      expect(headers).toMatchObject({
        'content-security-policy':
          "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
      });
      expect(headers).not.toHaveProperty('strict-transport-security');
    }
  });

  it('keeps model calls free of what no browser reads', async () => {
    await serve();
    const reply = await http?.api.inject({ url: '/v1/thing' });
    expect(reply?.headers).toHaveProperty('x-content-type-options', 'nosniff');
    expect(reply?.headers).not.toHaveProperty('content-security-policy');
  });

  it('runs in the reference the scripts that are in it, and no other', async () => {
    await serve();
    const reply = await http?.api.inject({ url: '/docs/' });
    const policy = String(reply?.headers['content-security-policy']);
    const script = /script-src ([^;]+)/.exec(policy)?.[1];
    expect(reply?.body).toContain('createApiReference');
    expect(script).toMatch(/^'self' 'sha256-[A-Za-z0-9+/]{43}='$/);
    expect(policy).toContain("frame-ancestors 'none'");
  });

  it('names HTTPS for good where it is', async () => {
    await serve({ behindTls: true });
    for (const url of ['/api/v1/thing', '/v1/thing', '/docs/']) {
      const reply = await http?.api.inject({ url });
      expect(reply?.headers['strict-transport-security']).toBe('max-age=63072000; includeSubDomains');
    }
  });
});

describe('pages of other origins', () => {
  const origin = 'https://console.example.com';
  const preflight = { origin, 'access-control-request-method': 'POST' };

  it('are answered when they are on the list, by name and without a credential for the preflight', async () => {
    await serve({ corsOrigins: [origin] });
    const asked = await http?.api.inject({ method: 'OPTIONS', url: '/api/v1/echo', headers: preflight });
    expect(asked?.statusCode).toBe(204);
    expect(asked?.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-max-age': '600',
      vary: 'Origin',
    });
    const got = await http?.api.inject({ url: '/api/v1/thing', headers: { origin } });
    expect([got?.statusCode, got?.headers['access-control-allow-origin']]).toEqual([200, origin]);
  });

  it('hear nothing otherwise', async () => {
    await serve({ corsOrigins: [origin] });
    for (const other of [
      'https://evil.example',
      'null',
      `${origin}.evil.example`,
      'http://console.example.com',
    ]) {
      for (const method of ['OPTIONS', 'GET'] as const) {
        const headers = { ...preflight, origin: other };
        const reply = await http?.api.inject({ method, url: '/api/v1/thing', headers });
        expect(reply?.headers).not.toHaveProperty('access-control-allow-origin');
        expect(reply?.headers.vary).toBe('Origin');
      }
    }
  });

  it('are limited in how often they ask', async () => {
    const limits = openEntrance();
    const gate = {
      ...limits.gate,
      demandsOfStranger: () => {
        throw new Error('too many');
      },
    };
    await serve({ corsOrigins: [origin], limits: { ...limits, gate } });
    const asked = await http?.api.inject({ method: 'OPTIONS', url: '/api/v1/echo', headers: preflight });
    expect(asked?.statusCode).toBe(500);
  });
});

describe('bodies', () => {
  it('may be empty where none is taken, whatever content type the client sets', async () => {
    await serve();
    const headers = { 'content-type': 'application/json' };
    const gone = await http?.api.inject({ method: 'DELETE', url: '/api/v1/thing', headers });
    expect(gone?.statusCode).toBe(204);
    const none = await http?.api.inject({ method: 'POST', url: '/api/v1/echo', headers });
    expect(none?.statusCode).toBe(400);
  });

  it('are refused when they are nested so deep that parsing them would keep others waiting', async () => {
    await serve();
    const send = (payload: string) =>
      http?.api.inject({
        method: 'POST',
        url: '/api/v1/echo',
        headers: { 'content-type': 'application/json' },
        payload,
      });
    const more = (depth: number, before = '') =>
      `{"name":"a","before":"${before}","more":${'['.repeat(depth)}${' '.repeat(16 * 1024)}${']'.repeat(depth)}}`;
    expect((await send(more(99)))?.statusCode).toBe(200);
    const refused = await send(more(100));
    expect([refused?.statusCode, refused?.json().detail]).toEqual([
      400,
      'The JSON is nested deeper than 100 levels.',
    ]);
    // Brackets within texts are none, and no text hides those that follow it.
    expect((await send(more(99, '['.repeat(500))))?.statusCode).toBe(200);
    for (const before of ['\\\\', '\\"', '\\\\\\"]]]']) {
      expect([before, (await send(more(99, before)))?.statusCode]).toEqual([before, 200]);
      expect([before, (await send(more(100, before)))?.statusCode]).toEqual([before, 400]);
    }
    // What is no JSON is told as such.
    expect((await send(`{"name":"${'a'.repeat(20_000)}`))?.json().detail).toMatch(/not valid JSON/);
  });

  it('of more than 1 MiB are refused', async () => {
    await serve();
    const payload = JSON.stringify({ name: 'x'.repeat(1024 * 1024) });
    const headers = { 'content-type': 'application/json' };
    const reply = await http?.api.inject({ method: 'POST', url: '/api/v1/echo', headers, payload });
    expect(reply?.statusCode).toBe(413);
  });
});

describe('requests that a proxy could read in another way', () => {
  it.each([
    ['a length beside chunks', `${head(json, 'Content-Length: 13', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    ['chunks beside a length', `${head(json, 'Transfer-Encoding: chunked', 'Content-Length: 13')}0\r\n\r\n`],
    ['two lengths', `${head(json, 'Content-Length: 13', 'Content-Length: 14')}{"name":"a"} `],
    ['the same length twice', `${head(json, 'Content-Length: 12', 'Content-Length: 12')}{"name":"a"}`],
    ['a list of lengths', `${head(json, 'Content-Length: 12, 12')}{"name":"a"}`],
    ['a length with a sign', `${head(json, 'Content-Length: +12')}{"name":"a"}`],
    ['an unknown coding', `${head(json, 'Transfer-Encoding: xchunked')}{"name":"a"}`],
    ['chunked twice', `${head(json, 'Transfer-Encoding: chunked, identity')}0\r\n\r\n`],
    ['a space before the colon', `${head(json, 'Content-Length : 12')}{"name":"a"}`],
    ['a folded line', `${head(json, 'X-One: a\r\n b', 'Content-Length: 12')}{"name":"a"}`],
    ['bare line feeds', `${head(json, 'Content-Length: 12').replaceAll('\r\n', '\n')}{"name":"a"}`],
    ['no host', 'GET /api/v1/thing HTTP/1.1\r\n\r\n'],
    ['a broken chunk size', `${head(json, 'Transfer-Encoding: chunked')}zz\r\n{}\r\n0\r\n\r\n`],
  ])('%s: refused, and the connection closed', async (_name, text) => {
    const port = await serve();
    const reply = await raw(port, text);
    expect(reply).toMatch(/^HTTP\/1\.1 400 /);
    // One answer: what followed was not taken for a second request.
    expect(reply.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });

  it.each(['TRACE', 'TRACK', 'CONNECT', 'DEBUG'])('by %s: nothing is said back', async (method) => {
    const port = await serve();
    const reply = await raw(
      port,
      `${method} /api/v1/thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Api-Key: gh_said_back\r\n\r\n`,
    );
    expect(reply).toMatch(/^(?:HTTP\/1\.1 4\d\d |$)/);
    expect(reply).not.toContain('gh_said_back');
  });

  it('of more than 16 KiB of headers, or a hundred lines: refused', async () => {
    const port = await serve();
    expect(await raw(port, head(`X-Long: ${'x'.repeat(17_000)}`))).toMatch(/^HTTP\/1\.1 431 /);
    expect(await raw(port, `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    const lines = Array.from({ length: 101 }, (_, n) => `X-${n}: 1`);
    expect(await raw(port, head('Connection: close', ...lines))).toMatch(
      /^HTTP\/1\.1 400 [\s\S]*100 header lines/,
    );
  });
});

describe('clients that are slow on purpose', () => {
  const impatient = { connections: { headersMs: 200, requestMs: 400, lookEveryMs: 50 } };

  it('are cut off in the middle of headers', async () => {
    const port = await serve(impatient);
    expect(await raw(port, 'GET /api/v1/thing HTTP/1.1\r\nHost: a\r\nX-Slow: ')).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('are cut off in the middle of a body', async () => {
    const port = await serve(impatient);
    const reply = await raw(port, head(json, 'Content-Length: 1000'), '{"name"');
    expect(reply).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('do not keep others out: those beyond the most connections are closed, the others answered', async () => {
    const port = await serve({ connections: { connections: 2 } });
    const open = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    // Connected is not yet accepted: what is asked on both is.
    const asked = 'GET /api/v1/thing HTTP/1.1\r\nHost: a\r\n\r\n';
    await Promise.all(
      open.map((socket) => {
        const answered = new Promise((resolve) => socket.once('data', resolve));
        socket.write(asked);
        return answered;
      }),
    );
    expect(await raw(port, asked)).toBe('');
    for (const socket of open) socket.destroy();
  });
});

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tls-'));
  const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  const certify = (name: string) =>
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        files.key,
        '-out',
        files.certificate,
      ],
      { stdio: 'ignore' },
    );
  afterAll(() => rmSync(folder, { recursive: true }));
  const reach = (port: number, options = {}): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
      socket.once('secureConnect', () => resolve(socket)).once('error', reject);
    });
  const nameSeen = async (port: number) => {
    const socket = await reach(port);
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };

  it('1.3 and nothing older, with HSTS on every reply', async () => {
    certify('first.test');
    const port = await serve({ tls: files });
    const socket = await reach(port);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    socket.destroy();
    await expect(reach(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version|alert/i);
    const headers = await new Promise((resolve) =>
      get(
        { port, host: '127.0.0.1', path: '/api/v1/thing', rejectUnauthorized: false, agent: false },
        (reply) => {
          reply.resume();
          resolve(reply.headers);
        },
      ),
    );
    expect(headers).toHaveProperty('strict-transport-security');
  });

  it('takes up a renewed certificate and drops no connection for it', async () => {
    certify('first.test');
    let look = () => {};
    const clock = {
      ...systemClock,
      sleep: (_ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          look = resolve;
          signal?.addEventListener('abort', () => resolve());
        }),
    };
    const port = await serve({ tls: files, clock });
    const standing = await reach(port);
    // Half of a new pair fits nothing, and changes nothing.
    writeFileSync(files.certificate, 'half of it');
    look();
    expect(await nameSeen(port)).toBe('first.test');
    certify('second.test');
    look();
    expect(await nameSeen(port)).toBe('second.test');
    const answer = new Promise<string>((resolve) =>
      standing.once('data', (data) => resolve(data.toString())),
    );
    standing.write('GET /api/v1/thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('is refused at the start when the files do not fit, with their names', async () => {
    await expect(
      serve({ tls: { certificate: files.certificate, key: join(folder, 'none') } }),
    ).rejects.toThrow(/TLS_CERT_FILE and TLS_KEY_FILE/);
  });
});
