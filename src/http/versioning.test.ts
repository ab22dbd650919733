import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openEntrance } from '../../test/harness/open-doors.ts';
import { effectivePermissions, type Principal } from '../access/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import { systemClock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createHttp, type HttpServer } from './index.ts';
import type { ApiVersion } from './versions.ts';

/*
 * Three versions: the second changes what a ship looks like, the third adds one route. The first is on its way out.
 */
const versions: readonly ApiVersion[] = [
  {
    version: '1',
    state: 'deprecated',
    since: '2026-01-01',
    deprecation: { since: '2026-11-01', sunset: '2027-11-01' },
    changes: [],
  },
  { version: '2', state: 'supported', since: '2026-06-01', changes: ['Ships have a flag.'] },
  { version: '3', state: 'current', since: '2026-11-01', changes: ['Fleets.'] },
];
const access = { permission: 'queries:run' } as const;
const says = (text: string) => async () => ({ text });
const schema = { response: { 200: z.object({ text: z.string() }), ...problemResponses } };

const first: Routes = (api) => {
  const old = { since: '2026-11-21', sunset: '2027-05-01', successor: '/api/v2/ships/:id' };
  api.get('/ships/:id', { config: { access, deprecated: old }, schema }, says('ship 1'));
  api.get('/ships/newest', { config: { access }, schema }, says('newest 1'));
  api.post('/ships/:id', { config: { access }, schema }, says('sailed 1'));
  api.get('/harbours', { config: { access }, schema }, says('harbours 1'));
};
const second: Routes = (api) => {
  api.get('/ships/:id', { config: { access }, schema }, says('ship 2'));
};
const third: Routes = (api) => {
  api.get('/fleets', { config: { access }, schema }, says('fleets 3'));
};
const model: Routes = (api) => {
  api.get('/models', { config: { access }, schema }, says('models'));
};

let http: HttpServer;
beforeAll(async () => {
  const caller = { tenant: {}, permissions: effectivePermissions('analyst', []) } as unknown as Principal;
  http = await createHttp({
    limits: openEntrance(),
    access: {
      authenticate: (token) => {
        if (token !== 'right') throw new AppError('unauthenticated', 'Send an API key.');
        return caller;
      },
    },
    clock: systemClock,
    newId: createIds(systemClock, systemRandom),
    log: createLog('silent'),
    metrics: createMetrics(),
    version: '0.0.0',
    rootRoutes: [],
    modelRoutes: [model],
    platformRoutes: [first],
    versionRoutes: { 2: [second], 3: [third] },
    apiVersions: versions,
  });
});
afterAll(() => http.stop(1_000));

const ask = async (
  url: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'POST' | 'HEAD' = 'GET',
) => {
  const reply = await http.api.inject({
    method,
    url,
    headers: { authorization: 'Bearer right', ...headers },
  });
  const { text, detail } = reply.body === '' ? {} : reply.json();
  return { status: reply.statusCode, said: text ?? detail, version: reply.headers['x-api-version'], reply };
};

describe('a version in the path', () => {
  it('answers with what it changed', async () => {
    expect(await ask('/api/v1/ships/7')).toMatchObject({ status: 200, said: 'ship 1', version: '1' });
    expect(await ask('/api/v2/ships/7?a=b')).toMatchObject({ status: 200, said: 'ship 2', version: '2' });
  });

  it('has what it did not change from the version before', async () => {
    expect(await ask('/api/v2/harbours')).toMatchObject({ said: 'harbours 1', version: '2' });
    expect(await ask('/api/v3/ships/7')).toMatchObject({ said: 'ship 2', version: '3' });
    expect(await ask('/api/v3/fleets')).toMatchObject({ said: 'fleets 3', version: '3' });
    expect(await ask('/api/v2/fleets')).toMatchObject({ status: 404, version: '2' });
  });

  it('tells methods apart, and does not hide a more exact route of the version before', async () => {
    expect(await ask('/api/v2/ships/7', {}, 'POST')).toMatchObject({ said: 'sailed 1', version: '2' });
    expect(await ask('/api/v2/ships/newest')).toMatchObject({ said: 'newest 1', version: '2' });
    expect(await ask('/api/v2/ships/7', {}, 'HEAD')).toMatchObject({ status: 200, version: '2' });
  });

  it('is refused when there is none, with those that there are', async () => {
    const { status, said } = await ask('/api/v9/ships/7');
    expect(status).toBe(400);
    expect(said).toContain('Offered are versions 1 and 2 and 3.');
  });
});

describe('a version beside the path', () => {
  it('is asked for in a header or in Accept, under a path that names none', async () => {
    expect(await ask('/api/ships/7')).toMatchObject({ said: 'ship 1', version: '1' });
    expect(await ask('/api/ships/7', { 'x-api-version': '2' })).toMatchObject({
      said: 'ship 2',
      version: '2',
    });
    const accept = 'application/json;version=3';
    expect(await ask('/api/ships/7?x=1', { accept })).toMatchObject({ said: 'ship 2', version: '3' });
    expect(await ask('/api/ships/7', { 'x-api-version': '4' })).toMatchObject({ status: 400, version: '1' });
  });

  it('must not differ from that of the path', async () => {
    expect(await ask('/api/v1/ships/7', { 'x-api-version': '1' })).toMatchObject({ status: 200 });
    expect(await ask('/api/v1/ships/7', { 'x-api-version': '2' })).toMatchObject({ status: 400 });
    expect(await ask('/api/v2/ships/7', { accept: 'application/json;version=1' })).toMatchObject({
      status: 400,
    });
  });

  it('tells nothing to whoever has no key', async () => {
    expect(await ask('/api/v1/ships/7', { 'x-api-version': '9', authorization: '' })).toMatchObject({
      status: 401,
      version: '1',
    });
  });
});

describe('what is deprecated', () => {
  it('says since when, until when, and what takes its place, on refusals too', async () => {
    for (const headers of [{}, { authorization: '' }]) {
      const { reply } = await ask('/api/v1/ships/a%20b', headers);
      expect(reply.headers).toMatchObject({
        deprecation: `@${Date.UTC(2026, 10, 21) / 1_000}`,
        sunset: 'Sat, 01 May 2027 00:00:00 GMT',
        link: '</api/v2/ships/a%20b>; rel="successor-version", </api/versions>; rel="deprecation"; type="application/json"',
      });
    }
  });

  it('as a whole version leads to the same path of the next one', async () => {
    const { reply } = await ask('/api/harbours?x=1');
    expect(reply.headers).toMatchObject({ deprecation: `@${Date.UTC(2026, 10, 1) / 1_000}` });
    expect(reply.headers.link).toContain('</api/v2/harbours>; rel="successor-version"');
    expect((await ask('/api/v2/harbours')).reply.headers).not.toHaveProperty('deprecation');
  });

  it('does not touch the model dialects, whose paths are others’', async () => {
    const { reply, version } = await ask('/v1/models', { 'x-api-version': '77' });
    expect({ status: reply.statusCode, version }).toEqual({ status: 200, version: '1' });
    expect(reply.headers).not.toHaveProperty('deprecation');
  });
});

describe('GET /api/versions', () => {
  it('lists them with their states, whatever version is asked for', async () => {
    const reply = await http.api.inject({ url: '/api/versions', headers: { 'x-api-version': '99' } });
    expect(reply.statusCode).toBe(200);
    const { versions: listed } = reply.json();
    expect(listed.map(({ version, state }: Record<string, string>) => `${version} ${state}`)).toEqual([
      '1 deprecated',
      '2 supported',
      '3 current',
    ]);
    expect(listed[0]).toMatchObject({
      is_default: true,
      deprecation: { since: '2026-11-01', sunset: '2027-11-01', successor: '/api/v2' },
      deprecated_routes: [{ method: 'GET', path: '/api/v1/ships/:id', successor: '/api/v2/ships/:id' }],
    });
  });

  it('each has a document of all its paths', async () => {
    const pathsOf = async (version: number) => {
      const reply = await http.api.inject({ url: `/api/v${version}/openapi.json` });
      expect(reply.headers['x-api-version']).toBe(String(version));
      return reply.json().paths as Record<string, Record<string, { deprecated?: boolean }>>;
    };
    const one = await pathsOf(1);
    expect(Object.keys(one)).not.toContain('/api/v2/ships/{id}');
    expect(one['/api/v1/ships/{id}']?.get?.deprecated).toBe(true);
    const two = await pathsOf(2);
    expect(Object.keys(two)).toEqual(
      expect.arrayContaining(['/api/v2/ships/{id}', '/api/v2/harbours', '/v1/models']),
    );
    expect(Object.keys(two['/api/v2/ships/{id}'] ?? {}).sort()).toEqual(['get', 'post']);
    expect(two['/api/v2/ships/{id}']?.get?.deprecated).toBeUndefined();
    expect(Object.keys(two).filter((path) => /^\/api\/v[13]/.test(path))).toEqual([]);
    expect(Object.keys(await pathsOf(3))).toEqual(
      expect.arrayContaining(['/api/v3/fleets', '/api/v3/ships/{id}']),
    );
  });
});
