import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, removeDirectory, startServer } from '../harness/server.ts';

/*
 * What a page of another site can have a signed-in person's browser do. The person is the installation's owner, who may do
 * everything, so whatever is refused is refused for what the request is.
 */

let server: RunningServer;
let operations: { method: string; path: string; open: boolean }[];
const owner = { email: 'owner@localhost', password: '' };
let cookie: string;
let csrf: string;

beforeAll(async () => {
  server = await startServer();
  owner.password = /password (\S+)/.exec(server.output().stdout)?.[1] ?? '';
  const found = new Map<string, { method: string; path: string; open: boolean }>();
  for (const version of ['v1', 'v2']) {
    const { json } = await server.call('GET', `/api/${version}/openapi.json`);
    for (const [path, methods] of Object.entries(json.paths as Record<string, Record<string, any>>)) {
      for (const [method, operation] of Object.entries(methods)) {
        found.set(`${method} ${path}`, {
          method: method.toUpperCase(),
          path: path.replace(/\{[^}]+\}/g, 'absent'),
          open: operation['x-permission'] === undefined,
        });
      }
    }
  }
  operations = [...found.values()];
  const reply = await signIn();
  expect(reply.status).toBe(200);
  cookie = cookiesOf(reply);
  csrf = ((await reply.json()) as { csrf_token: string }).csrf_token;
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

const send = (method: string, path: string, headers: Record<string, string>, body?: string) =>
  fetch(server.url + path, { method, headers, body: body ?? null, redirect: 'manual' });
const signIn = (headers: Record<string, string> = {}) =>
  send(
    'POST',
    '/api/v1/auth/sign-in',
    { 'content-type': 'application/json', ...headers },
    JSON.stringify(owner),
  );
const cookiesOf = (reply: Response) =>
  reply.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');

/** What a page may send to another site without asking that site first (Fetch, "CORS-safelisted request-header"). */
const safelisted = [
  undefined,
  'text/plain',
  'text/plain;charset=UTF-8',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=b',
];

describe('a page of another site', () => {
  it('has nothing changed by a browser that is signed in: every such route asks for the CSRF token', async () => {
    const changing = operations.filter(({ method, open }) => method !== 'GET' && !open);
    expect(changing.length).toBeGreaterThan(60);
    for (const { method, path } of changing) {
      for (const type of [...safelisted, 'application/json']) {
        const reply = await send(
          method,
          path,
          {
            cookie,
            origin: 'https://evil.example',
            'sec-fetch-site': 'cross-site',
            ...(type !== undefined && { 'content-type': type }),
          },
          '{}',
        );
        const text = await reply.text();
        expect([method, path, type, reply.status]).toEqual([method, path, type, 403]);
        expect(text).toContain('X-CSRF-Token');
        expect(reply.headers.get('access-control-allow-origin')).toBeNull();
      }
    }
    // The token is what was missing.
    const right = await send(
      'POST',
      '/api/v1/search',
      {
        cookie,
        'x-csrf-token': csrf,
        'content-type': 'application/json',
      },
      '{"query":"anything"}',
    );
    expect(right.status).toBe(200);
  });

  it('has nothing changed by what may be asked without a token', async () => {
    const reading = operations.filter(({ method, open }) => method === 'GET' && !open);
    expect(reading.length).toBeGreaterThan(60);
    for (const { path } of reading) {
      for (const method of ['GET', 'HEAD']) {
        const reply = await send(method, path, { cookie });
        await reply.text();
        expect([path, reply.status]).not.toEqual([path, 500]);
      }
    }
    const { entries } = (await server.call('GET', '/api/v1/audit-logs?limit=200')).json;
    const done = entries
      .map(({ entry }: any) => entry)
      .filter(({ request }: any) => /^(GET|HEAD) /.test(request));
    expect(done.length).toBeGreaterThan(10);
    const actions = new Set(done.map(({ action }: any) => action));
    expect([...actions].sort()).toEqual(['audit_log.exported', 'data.read']);
  });

  it('signs nobody in: neither as its own page does, nor by what needs no asking', async () => {
    const foreign = await signIn({ 'sec-fetch-site': 'cross-site' });
    expect([foreign.status, foreign.headers.getSetCookie()]).toEqual([403, []]);
    for (const type of safelisted) {
      for (const body of [JSON.stringify(owner), new URLSearchParams(owner).toString()]) {
        const reply = await send(
          'POST',
          '/api/v1/auth/sign-in',
          type === undefined ? {} : { 'content-type': type },
          body,
        );
        expect([type, reply.status >= 400, reply.headers.getSetCookie()]).toEqual([type, true, []]);
      }
    }
  });
});

describe('cookies', () => {
  const attributes = (line: string) =>
    line
      .split(';')
      .slice(1)
      .map((part) => part.trim().replace(/=\d+$/, ''))
      .sort();

  it('are for this host only, over TLS only, and not read by scripts but for the token that is there for them', async () => {
    const tls = { 'x-forwarded-proto': 'https' };
    const reply = await signIn(tls);
    const lines = reply.headers.getSetCookie();
    expect(lines.map((line) => line.split('=')[0])).toEqual(['__Host-gatehouse', '__Host-gatehouse-csrf']);
    expect(lines.map(attributes)).toEqual([
      ['HttpOnly', 'Max-Age', 'Path=/', 'SameSite=Lax', 'Secure'],
      ['Max-Age', 'Path=/', 'SameSite=Lax', 'Secure'],
    ]);
    // The secret is in no other place of the reply.
    const secret = cookiesOf(reply).split('; ')[0]?.split('=')[1] ?? '';
    const text = await reply.text();
    expect(secret).toHaveLength(43);
    expect(text).not.toContain(secret);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    const out = await send('POST', '/api/v1/auth/sign-out', {
      ...tls,
      cookie: cookiesOf(reply),
      'x-csrf-token': JSON.parse(text).csrf_token,
    });
    expect(out.status).toBe(204);
    expect(out.headers.get('clear-site-data')).toBe('"cache", "storage"');
    expect(out.headers.getSetCookie().map(attributes)).toEqual(lines.map(attributes));
    for (const line of out.headers.getSetCookie()) expect(line).toMatch(/=; Path=\/; Max-Age=0;/);
  });
});
