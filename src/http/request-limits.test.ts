import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { entranceOf } from '../../test/harness/open-doors.ts';
import { createSmallLimits, type SmallLimits, tenantOfTest } from '../../test/harness/small-limits.ts';
import { effectivePermissions, type Principal } from '../access/index.ts';
import type { Routes } from '../platform/api.ts';
import { systemClock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createHttp, type HttpServer } from './index.ts';

const viewer = {
  tenantId: tenantOfTest,
  role: 'viewer',
  permissions: effectivePermissions('viewer', []),
  tenant: {},
} as unknown as Principal;

/** Questions that are being answered, until they are let go. */
const open: (() => void)[] = [];
const routes: Routes = (api) => {
  const config = { access: { permission: 'limits:read' } } as const;
  api.get('/plain', { config }, async () => 'plain');
  api.get(
    '/heavy',
    { config: { ...config, limits: { as: 'request', work: 'prompt_execute' } } },
    async () => 'heavy',
  );
  api.get('/free', { config: { ...config, limits: { exempt: 'a test' } } }, async () => 'free');
  api.get('/forbidden', { config: { access: { permission: 'tenants:manage' } } }, async () => 'never');
  api.get('/open', { config: { access: { public: 'a test' } } }, async () => 'open');
  api.get(
    '/probe',
    { config: { access: { public: 'a test' }, limits: { exempt: 'a test' } } },
    async () => 'probe',
  );
  api.post('/checked', { config, schema: { body: z.object({ name: z.string() }) } }, async () => 'checked');
  api.get('/question', { config: { ...config, limits: { as: 'query' } } }, async (_request, reply) => {
    await new Promise<void>((resolve) => open.push(resolve));
    return reply.send('answered');
  });
};

let http: HttpServer | undefined;
afterEach(async () => {
  for (const release of open.splice(0)) release();
  await http?.stop(100);
});

async function build(given: SmallLimits, trustedProxies: readonly string[] = []) {
  const small = createSmallLimits(given);
  /** Keys that were looked for in the database. */
  const looked: string[] = [];
  const server = await createHttp({
    access: {
      authenticate: (token, _tenant, beforeLookUp) => {
        if (token === 'warm') return viewer;
        if (token === 'suspended') throw new AppError('tenant_suspended', 'suspended');
        if (token === 'down') throw new AppError('dependency_down', 'no database');
        if (!token?.startsWith('cold')) throw new AppError('unauthenticated', 'Send an API key.');
        const find = (): Principal => {
          looked.push(token);
          if (token === 'cold-right') return viewer;
          throw new AppError('unauthenticated', 'no such key');
        };
        const asked = beforeLookUp?.();
        return asked instanceof Promise ? asked.then(find) : Promise.resolve().then(find);
      },
    },
    limits: { ...entranceOf(small), weightOf: () => 10 },
    trustedProxies,
    clock: systemClock,
    newId: createIds(systemClock, systemRandom),
    log: createLog('silent'),
    metrics: createMetrics(),
    version: '0',
    rootRoutes: [],
    modelRoutes: [],
    platformRoutes: [routes],
  });
  http = server;
  const ask = async (
    path: string,
    key?: string,
    more: { ip?: string; forwarded?: string; body?: string } = {},
  ) => {
    const reply = await server.api.inject({
      method: more.body === undefined ? 'GET' : 'POST',
      url: `/api/v1${path}`,
      remoteAddress: more.ip ?? '192.0.2.1',
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(more.forwarded === undefined ? {} : { 'x-forwarded-for': more.forwarded }),
        ...(more.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(more.body === undefined ? {} : { payload: more.body }),
    });
    return { status: reply.statusCode, told: reply.headers['x-ratelimit-of'], headers: reply.headers };
  };
  const many = async (times: number, ...given: Parameters<typeof ask>) => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await ask(...given)).status);
    return statuses;
  };
  return { small, server, ask, many, looked };
}

const far: SmallLimits['through'] = (memory) => ({
  ...memory,
  admit: async (request) => {
    await new Promise(setImmediate);
    return memory.admit(request);
  },
});

describe.each([
  ['in process', {}],
  ['over Redis', { through: far }],
])('a request of a known caller, %s', (_where, more) => {
  it('counts once, whatever becomes of it, and is told what is left', async () => {
    const { small, ask } = await build({ requestsPerDay: 100, ...more });
    expect(await ask('/plain', 'warm')).toMatchObject({ status: 200, told: 'requests=99' });
    expect(await ask('/forbidden', 'warm')).toMatchObject({ status: 403, told: 'requests=98' });
    expect(await ask('/checked', 'warm', { body: '{"name":1}' })).toMatchObject({
      status: 422,
      told: 'requests=97',
    });
    expect(await ask('/checked', 'warm', { body: '{oops' })).toMatchObject({
      status: 400,
      told: 'requests=96',
    });
    expect(await ask('/nowhere', 'warm')).toMatchObject({ status: 404, told: 'requests=95' });
    expect(await ask('/heavy', 'warm')).toMatchObject({ status: 200, told: 'requests=85' });
    expect((await ask('/free', 'warm')).told).toBeUndefined();
    expect(small.left('requests')).toBe(85);
  });

  it('is refused beyond the limit, before anything else is said', async () => {
    const { ask, many } = await build({ requestsPerDay: 2, ...more });
    expect(await many(4, '/plain', 'warm')).toEqual([200, 200, 429, 429]);
    const refused = await ask('/forbidden', 'warm');
    expect(refused).toMatchObject({ status: 429, told: 'requests=0' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await ask('/free', 'warm')).status).toBe(200);
  });
});

describe.each([
  ['in process', {}],
  ['over Redis', { through: far }],
])('a knowledge query, %s', (_where, more) => {
  it('holds its place until its reply has ended, or its client has left', async () => {
    const { small, server, ask } = await build({ requestsPerDay: 100, queriesAtATime: 2, ...more });
    await server.listen('127.0.0.1', 0);
    const { port } = server.api.server.address() as AddressInfo;
    const first = fetch(`http://127.0.0.1:${port}/api/v1/question`, {
      headers: { authorization: 'Bearer warm' },
    });
    const leaver = connect(port, '127.0.0.1');
    leaver.write('GET /api/v1/question HTTP/1.1\r\nhost: x\r\nauthorization: Bearer warm\r\n\r\n');
    await expect.poll(() => open.length).toBe(2);
    expect(await ask('/question', 'warm')).toMatchObject({ status: 429, told: 'requests=98,queries=0' });
    leaver.destroy();
    await expect.poll(() => small.left('queries')).toBe(1);
    open[0]?.();
    expect((await first).status).toBe(200);
    await expect.poll(() => small.left('queries')).toBe(2);
    expect([...small.settled.values()]).toEqual([1, 1]);
  });
});

describe.each([
  ['in process', {}],
  ['over Redis', { through: far }],
])('whoever shows no valid credential, %s', (_where, more) => {
  it.each([undefined, 'wrong', 'cold-wrong', 'suspended'])('has three tries (%s)', async (key) => {
    const { ask, many } = await build(more);
    const [first, ...others] = await many(5, '/plain', key);
    expect([first, ...others.slice(0, 2)]).toEqual(Array(3).fill(key === 'suspended' ? 403 : 401));
    expect(others.slice(2)).toEqual([429, 429]);
    expect((await ask('/plain', key)).told).toBe('strangers=0');
    // Another address has its own.
    expect((await ask('/plain', key, { ip: '192.0.2.2' })).told).toBe('strangers=2');
  });

  it('is not looked up any more then', async () => {
    const { many, looked } = await build(more);
    await many(6, '/plain', 'cold-wrong');
    expect(looked).toHaveLength(3);
  });

  it('does not lock out a known key behind the same address, nor does that key’s traffic lock out strangers', async () => {
    const { ask, many } = await build({ requestsPerDay: 100, ...more });
    await many(5, '/plain', 'wrong');
    expect(await many(3, '/plain', 'warm')).toEqual([200, 200, 200]);
    expect((await ask('/plain', 'cold-right')).status).toBe(429);
    expect((await ask('/plain', 'cold-right', { ip: '192.0.2.9' })).told).toBe('requests=96');
  });

  it('counts at open routes and where nothing is, but for those that are exempt', async () => {
    const { ask, many } = await build(more);
    expect(await many(1, '/open')).toEqual([200]);
    expect(await many(1, '/nowhere')).toEqual([404]);
    expect(await many(2, '/nowhere', 'wrong')).toEqual([404, 429]);
    expect((await ask('/open', 'warm')).status).toBe(429);
    expect(await many(5, '/probe')).toEqual(Array(5).fill(200));
  });

  it('is not blamed for our own troubles', async () => {
    const { many } = await build(more);
    expect(await many(5, '/plain', 'down')).toEqual(Array(5).fill(503));
  });

  it('is known by the address that a trusted proxy tells, and by no other', async () => {
    const { many } = await build(more, ['10.0.0.0/8']);
    const spoofing = { ip: '203.0.113.5', forwarded: '198.51.100.1' };
    expect(await many(3, '/open', undefined, spoofing)).toEqual([200, 200, 200]);
    expect(await many(1, '/open', undefined, { ...spoofing, forwarded: '198.51.100.2' })).toEqual([429]);
    const proxied = { ip: '10.0.0.1', forwarded: '198.51.100.9, 203.0.113.5' };
    expect(await many(1, '/open', undefined, proxied)).toEqual([429]);
    expect(await many(1, '/open', undefined, { ip: '10.0.0.1', forwarded: '203.0.113.6' })).toEqual([200]);
    const v6 = (host: string) => ({ ip: '10.0.0.1', forwarded: `2001:db8:0:1:${host}` });
    for (const host of [':1', ':2', 'a:b:c:d']) await many(1, '/open', undefined, v6(host));
    expect(await many(1, '/open', undefined, v6('1:2:3:4'))).toEqual([429]);
    expect(await many(1, '/open', undefined, { ip: '10.0.0.1', forwarded: '2001:db8:0:2::1' })).toEqual([
      200,
    ]);
  });
});
