import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openEntrance } from '../../test/harness/open-doors.ts';
import { effectivePermissions, type Principal } from '../access/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import { systemClock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics, type Metrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createHttp, type HttpServer } from './index.ts';

const lines: string[] = [];
const analyst = {
  tenantId: 'tenant-of-the-test',
  role: 'analyst',
  permissions: effectivePermissions('analyst', []),
  tenant: {},
} as unknown as Principal;

const routes: Routes = (api) => {
  api.post(
    '/echo',
    {
      config: { access: { permission: 'queries:run' } },
      schema: {
        body: z.object({ name: z.string().min(1) }),
        response: { 200: z.object({ name: z.string() }), ...problemResponses },
      },
    },
    async (request) => ({ name: request.body.name }),
  );
  api.get('/fault', { config: { access: { permission: 'queries:run' } } }, async () => {
    throw new Error('the inside of the server');
  });
  api.get('/lost', { config: { access: { permission: 'queries:run' } } }, async () => {
    throw Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' });
  });
  for (const code of ['22021', '22P05', '57014']) {
    api.get(`/database/${code}`, { config: { access: { permission: 'queries:run' } } }, async () => {
      throw Object.assign(new Error('the inside of the database'), { code });
    });
  }
  api.get('/busy', { config: { access: { permission: 'queries:run' } } }, async () => {
    throw new AppError('overloaded', 'Too much at once.', { retryAfterSeconds: 7 });
  });
  api.get('/managed', { config: { access: { permission: 'tenants:manage' } } }, async () => 'never');
};

let http: HttpServer;
const metrics = createMetrics();

function build(platformRoutes: Routes[], registry: Metrics): Promise<HttpServer> {
  return createHttp({
    limits: openEntrance(),
    access: {
      authenticate: (token) => {
        if (token !== 'right') throw new AppError('unauthenticated', 'Send an API key.');
        return analyst;
      },
    },
    clock: systemClock,
    newId: createIds(systemClock, systemRandom),
    log: createLog('info', { write: (line) => void lines.push(line) }),
    metrics: registry,
    version: '0.0.0',
    rootRoutes: [],
    modelRoutes: [routes],
    platformRoutes,
  });
}

beforeAll(async () => {
  http = await build([routes], metrics);
});
afterAll(() => http.stop(1_000));

const key = { authorization: 'Bearer right' };
const post = (url: string, payload: string, headers: Record<string, string> = {}) =>
  http.api.inject({
    method: 'POST',
    url,
    payload,
    headers: { 'content-type': 'application/json', ...key, ...headers },
  });

describe('the HTTP server', () => {
  it('is not built when a route declares no permission', async () => {
    await expect(
      build([(api) => void api.get('/open', async () => 'all of it')], createMetrics()),
    ).rejects.toThrow(/GET .*open declares no permission/);
  });

  it('answers with the correlation id that came, when it is well formed, else with a new one', async () => {
    const kept = await post('/api/v1/echo', '{"name":"a"}', { 'x-correlation-id': 'order-4711-abc' });
    expect(kept.headers['x-correlation-id']).toBe('order-4711-abc');
    const replaced = await post('/api/v1/echo', '{"name":"a"}', { 'x-correlation-id': 'a\tb' });
    expect(replaced.headers['x-correlation-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('describes errors as problem documents that name field, code and correlation id', async () => {
    const reply = await post('/api/v1/echo', '{"name":""}');
    expect(reply.statusCode).toBe(422);
    expect(reply.headers['content-type']).toContain('application/problem+json');
    expect(reply.json()).toMatchObject({
      type: 'urn:gatehouse:problem:invalid',
      status: 422,
      code: 'invalid',
      correlation_id: reply.headers['x-correlation-id'],
      errors: [{ path: 'name' }],
    });
  });

  it('describes the same errors in the dialect under /v1', async () => {
    const reply = await http.api.inject({ method: 'GET', url: '/v1/managed', headers: key });
    expect(reply.statusCode).toBe(403);
    expect(reply.json()).toMatchObject({ error: { type: 'permission_error', code: 'forbidden' } });
    const absent = await http.api.inject({ method: 'GET', url: '/v1/absent' });
    expect([absent.statusCode, absent.json().error.code]).toEqual([404, 'not_found']);
  });

  it.each([
    ['malformed JSON', '/api/v1/echo', '{"name":', {}, 400, 'bad_request'],
    ['an empty body', '/api/v1/echo', '', {}, 400, 'bad_request'],
    [
      'an unknown content type',
      '/api/v1/echo',
      'a',
      { 'content-type': 'application/x-strange' },
      415,
      'unsupported_media_type',
    ],
    ['a body over 1 MiB', '/api/v1/echo', `{"name":"${'a'.repeat(1_100_000)}"}`, {}, 413, 'too_large'],
    ['no key', '/api/v1/echo', '{"name":"a"}', { authorization: '' }, 401, 'unauthenticated'],
    [
      'another scheme',
      '/api/v1/echo',
      '{"name":"a"}',
      { authorization: 'Basic right' },
      401,
      'unauthenticated',
    ],
  ] as const)('refuses %s', async (_what, url, body, headers, status, code) => {
    const reply = await post(url, body, headers);
    expect([reply.statusCode, reply.json().code]).toEqual([status, code]);
  });

  it('accepts the key in X-Api-Key too', async () => {
    const reply = await http.api.inject({
      method: 'POST',
      url: '/api/v1/echo',
      payload: { name: 'a' },
      headers: { 'x-api-key': 'right' },
    });
    expect(reply.statusCode).toBe(200);
  });

  it('tells nothing of the inside when it fails, and logs the cause under the correlation id', async () => {
    lines.length = 0;
    const reply = await http.api.inject({ method: 'GET', url: '/api/v1/fault', headers: key });
    expect(reply.statusCode).toBe(500);
    expect(reply.body).not.toContain('the inside of the server');
    const logged = lines.find((line) => line.includes('the inside of the server')) ?? '';
    expect(logged).toContain(String(reply.headers['x-correlation-id']));
  });

  it('answers 503 while the database is away, and tell nothing of the inside', async () => {
    const reply = await http.api.inject({ method: 'GET', url: '/api/v1/lost', headers: key });
    expect(reply.statusCode).toBe(503);
    expect(reply.headers['retry-after']).toBe('2');
    expect(reply.json()).toMatchObject({ code: 'dependency_down' });
    expect(reply.body).not.toContain('terminating');
  });

  it('tells a caller whose text no database can keep, and one whose question takes too long', async () => {
    const ask = (code: string) =>
      http.api.inject({ method: 'GET', url: `/api/v1/database/${code}`, headers: key });
    for (const code of ['22021', '22P05']) {
      const refused = await ask(code);
      expect(refused.statusCode).toBe(422);
      expect(refused.json().detail).toContain('U+0000');
    }
    const slow = await ask('57014');
    expect([slow.statusCode, slow.headers['retry-after']]).toEqual([503, '2']);
    expect(slow.body).not.toContain('inside');
  });

  it('says when to try again', async () => {
    const reply = await http.api.inject({ method: 'GET', url: '/api/v1/busy', headers: key });
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '7']);
  });

  it('logs each request once with its route and status, and no credential', async () => {
    lines.length = 0;
    await post('/api/v1/echo', '{"name":"a"}');
    const requests = lines.filter((line) => line.includes('"msg":"request"')).map((line) => JSON.parse(line));
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ route: '/api/v1/echo', status: 200, tenant: 'tenant-of-the-test' });
    expect(lines.join('')).not.toContain('right');
  });

  it('counts requests by route pattern', async () => {
    await post('/api/v1/echo', '{"name":"a"}');
    expect(await metrics.metrics()).toMatch(
      /http_requests_total\{method="POST",route="\/api\/v1\/echo",status="200"\} \d/,
    );
  });

  it('publishes OpenAPI 3.1 with every route that is not hidden', async () => {
    const reply = await http.api.inject({ method: 'GET', url: '/api/v1/openapi.json' });
    expect(reply.json()).toMatchObject({ openapi: '3.1.0' });
    expect(Object.keys(reply.json().paths)).toContain('/api/v1/echo');
    const page = await http.api.inject({ method: 'GET', url: '/docs/' });
    expect(page.statusCode).toBe(200);
    expect(page.body).not.toMatch(/(src|href)="https?:\/\//);
  });

  it('survives a client that does not speak HTTP', async () => {
    const port = await http.listen('127.0.0.1', 0);
    const answer = await new Promise<string>((resolve) => {
      let got = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('rubbish\r\n\r\n'));
      socket.on('data', (part) => {
        got += part;
      });
      socket.on('close', () => resolve(got));
      socket.on('error', () => resolve(got));
    });
    expect(answer).toMatch(/^HTTP\/1.1 400/);
    await expect(http.listen('127.0.0.1', port)).rejects.toThrow();
  });
});
