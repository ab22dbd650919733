import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * What somebody sends who wants more than an answer: to every route, by path, query and body. `bad-input.test.ts` does the
 * same to the model endpoints.
 */

let server: RunningServer;
let operations: Operation[];

interface Operation {
  readonly method: string;
  readonly path: string;
  /** Parameters of the query that are text. */
  readonly texts: readonly string[];
  readonly takesBody: boolean;
}

/** Ends a request that begins a stream without end, and no other. */
const timeoutMs = 20_000;

beforeAll(async () => {
  server = await startServer();
  const found = new Map<string, Operation>();
  for (const version of ['v1', 'v2']) {
    const { json } = await server.call('GET', `/api/${version}/openapi.json`);
    for (const [path, methods] of Object.entries(json.paths as Record<string, Record<string, any>>)) {
      for (const [method, operation] of Object.entries(methods)) {
        found.set(`${method} ${path}`, {
          method: method.toUpperCase(),
          path,
          texts: (operation.parameters ?? [])
            .filter((one: any) => one.in === 'query' && one.schema?.type === 'string')
            .map((one: any) => one.name),
          takesBody: operation.requestBody !== undefined,
        });
      }
    }
  }
  operations = [...found.values()];
  expect(operations.length).toBeGreaterThan(100);
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

const send = async (method: string, path: string, body?: string): Promise<Reply> => {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      authorization: 'Bearer test-admin-key-not-a-secret',
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    body: body ?? null,
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: response.status, headers: response.headers, text: await response.text(), json: undefined };
};
/** An answer, and not the server's own failure, nor anything of ours in its headers, nor of the inside in its text. */
const expectHarmless = (what: string, reply: Reply) => {
  expect([what, reply.status, reply.text.slice(0, 300)]).not.toEqual([what, 500, expect.anything()]);
  expect([what, reply.headers.has('x-injected')]).toEqual([what, false]);
  expect([what, reply.headers.getSetCookie()]).toEqual([what, []]);
  const type = reply.headers.get('content-type') ?? '';
  if (reply.text !== '')
    expect([what, type]).toEqual([what, expect.stringMatching(/\bjsonl?\b|^text\/.*; charset=utf-8/)]);
  expect(reply.text).not.toMatch(/root:x?:0|at \w+ \(.*\.ts:\d+|syntax error at or near|"dependencies":/);
};
const expectMalformed = async (body: string) => {
  for (const { method, path, takesBody } of operations) {
    // Model calls go on byte for byte, and are read by a parser that makes plain members of every name.
    if (!takesBody || !path.startsWith('/api/')) continue;
    const { status } = await send(method, path.replace(/\{[^}]+\}/g, 'absent'), body);
    expect([method, path, status]).toEqual([method, path, 400]);
  }
};
const alive = async () => expect((await send('GET', '/health/live')).status).toBe(200);

describe('every route', () => {
  it.each([
    ['quotes', `' or '1'='1`],
    ['a statement', `x'); drop table users; --`],
    ['a path out', '../../../../../../etc/passwd'],
    ['a path out, encoded again', '..%2f..%2f..%2fetc%2fpasswd'],
    ['lines of a header', 'a\r\nX-Injected: 1\r\n\r\n'],
    ['a NUL', 'a\u0000b'],
    ['half of a character', '%ED%A0%80'],
    ['a command', '$(id)`id`;id|id'],
    ['patterns', '%_*.+[(\\'],
    ['a number that is none', '1e999'],
    ['a long text', 'x'.repeat(3_000)],
    ['a name of prototypes', '__proto__'],
  ])('takes %s for a name of nothing', async (_what, text) => {
    const value = /^(%[0-9A-F]{2})+$/.test(text) ? text : encodeURIComponent(text);
    for (const { method, path, texts } of operations) {
      const filled = path.replace(/\{[^}]+\}/g, value);
      const query = texts.map((name) => `${name}=${value}`).join('&');
      if (filled === path && query === '') continue;
      expectHarmless(
        `${method} ${path}`,
        await send(method, `${filled}${query && `?${query}`}`, method === 'GET' ? undefined : '{}'),
      );
    }
    await alive();
    const users = await send('GET', '/api/v1/users');
    expect(users.status).toBe(200);
  });

  it.each([
    ['nothing', 'null'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['a number', '1'],
  ])('does not fail over %s as its body', async (_what, body) => {
    for (const { method, path, takesBody } of operations) {
      if (!takesBody) continue;
      const reply = await send(method, path.replace(/\{[^}]+\}/g, 'absent'), body);
      expectHarmless(`${method} ${path}`, reply);
    }
    await alive();
  });

  it.each([
    '{"__proto__":{"role":"owner"}}',
    '{"a":[{"\\u005f_proto__":{"role":"owner"}}]}',
    '{"constructor":{"prototype":{"role":"owner"}}}',
  ])('takes no name that changes objects: %s', expectMalformed);

  it('takes nothing that is nested so deep that parsing it would keep everybody else waiting', async () => {
    await expectMalformed(`{"name":${'['.repeat(500_000)}${']'.repeat(500_000)}}`);
    await expectMalformed(`{"metadata":${'{"a":'.repeat(120_000)}1${'}'.repeat(120_000)}}`);
    await alive();
  });
});

describe('a body of JSON', () => {
  const admin = async () =>
    (await server.call('POST', '/api/v1/keys', { name: 'admin', role: 'admin' })).json.key;

  it('is no freer where a form holds it, and neither is the name of a field', async () => {
    const form = new FormData();
    form.set('metadata', '{"__proto__":"polluted","year":2026}');
    form.set('file', new Blob(['Harmless.'], { type: 'text/plain' }), '../../../../tmp/harmless.txt');
    const added = await server.call('POST', '/api/v1/documents', form);
    expect(added.json).toMatchObject({ metadata: { year: 2026 }, file_name: 'harmless.txt' });
    expect(added.text).not.toContain('polluted');
    const named = new FormData();
    named.set('__proto__', '{"title":"polluted"}');
    named.set('file', new Blob(['Harmless, too.']), 'a.txt');
    expect((await server.call('POST', '/api/v1/documents', named)).status).toBe(400);
  });

  it('that says a thing twice is decided by what is then done', async () => {
    const key = await admin();
    const ask = (roles: string) => call(server.url, key, 'POST', '/api/v1/keys', `{"name":"twice",${roles}}`);
    expect((await ask('"role":"viewer","role":"owner"')).status).toBe(403);
    expect((await ask('"role":"viewer","r\\u006fle":"owner"')).status).toBe(403);
    const made = await ask('"role":"owner","role":"viewer"');
    expect(made.status).toBe(201);
    expect((await call(server.url, made.json.key, 'GET', '/api/v1/keys')).status).toBe(403);
  });
});

describe('a member that is not the caller’s to give', () => {
  const foreign = '00000000-0000-7000-8000-000000000000';
  const more = {
    id: foreign,
    tenant_id: foreign,
    user_id: foreign,
    created_by: 'somebody else',
    created_at: '2001-01-01T00:00:00Z',
    revoked_at: null,
    password_hash: 'x',
    token_hash: 'x',
    readers: [],
    owner: true,
    permissions: ['tenants:manage'],
    status: 'ready',
    version: 99,
  };
  /** A reply tells nothing that was smuggled in. */
  const expectOurs = (reply: Reply) => {
    expect(reply.status, reply.text).toBeLessThan(500);
    if (reply.status >= 300) return expect(reply.status).toBe(422);
    expect(reply.text).not.toMatch(/00000000-0000-7000|somebody else|2001-01-01/);
    expect(reply.json).not.toMatchObject({ version: 99 });
    return undefined;
  };

  it('changes nothing about keys, people, documents, roles and tenants', async () => {
    const given = async (path: string, body: object) => {
      const reply = await server.call('POST', path, { ...body, ...more });
      expectOurs(reply);
      return reply;
    };
    const key = await given('/api/v1/keys', { name: 'more', role: 'viewer' });
    expect((await call(server.url, key.json.key, 'GET', '/api/v1/tenants')).status).toBe(403);
    await given('/api/v1/documents', { title: 'More', text: 'Some text of a document.' });
    await given('/api/v1/tenants', { name: 'More', slug: 'more', tier: 'free' });
    await given('/api/v1/providers', { name: 'more', kind: 'openai', base_url: 'https://more.example/v1' });
    const inDemo = { 'x-tenant-id': 'demo' };
    const invited = await server.call(
      'POST',
      '/api/v1/users/invitations',
      { email: 'more@example.org', ...more, token: 'chosen' },
      inDemo,
    );
    expectOurs(invited);
    expect(invited.json.token).not.toBe('chosen');
    const accepted = await server.call('POST', '/api/v1/auth/invitations/accept', {
      token: invited.json.token,
      password: 'velvet-harbour-oxide-lantern',
      ...{ role: 'owner', groups: ['payroll'], tenant_id: foreign, email: 'other@example.org' },
    });
    expect(accepted.status).toBe(201);
    const path = `/api/v1/users/${accepted.json.user_id}`;
    const before = await server.call('GET', path, undefined, inDemo);
    expect(before.json).toMatchObject({ email: 'more@example.org', role: 'analyst', groups: [] });
    const changed = await server.call(
      'PATCH',
      path,
      { name: 'More', ...more, email: 'other@example.org', has_password: false },
      inDemo,
    );
    expectOurs(changed);
    expect((await server.call('GET', path, undefined, inDemo)).json).toEqual({
      ...before.json,
      name: 'More',
    });
  });
});

describe('a question', () => {
  it('is text, whatever else it could be', async () => {
    for (const query of [
      '(a+)+$ [ \\ a{99999} (?<x> *** what is Gatehouse',
      `' or 1=1; drop table documents; --`,
      'title:* AND NOT (text:foo OR "', // a search language
      '{{constructor.constructor("return process")()}} #{7*7} <%= 7*7 %>',
      '<script>alert(1)</script>',
      `${'(a|a?)+'.repeat(200)}b`,
    ]) {
      for (const path of ['/api/v1/search', '/api/v1/query']) {
        const reply = await server.call('POST', path, { query });
        expect([query, path, reply.status, reply.text.slice(0, 200)]).toEqual([
          query,
          path,
          200,
          expect.anything(),
        ]);
      }
    }
    expect((await server.call('GET', '/api/v1/documents')).json.documents.length).toBeGreaterThan(0);
  });
});

describe('the files of the server', () => {
  it('are not what the reference serves', async () => {
    for (const path of [
      '/docs/../package.json',
      '/docs/..%2fpackage.json',
      '/docs/js/..%2f..%2f..%2fpackage.json',
      '/docs/%2e%2e/%2e%2e/package.json',
      '/docs//etc/passwd',
      '/.git/config',
      '/package.json',
      '/%2e%2e/package.json',
    ]) {
      const reply = await send('GET', path);
      expect([path, reply.status]).toEqual([path, 404]);
    }
  });
});
