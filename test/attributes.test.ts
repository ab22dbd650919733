import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * Readers of a role whose condition compares documents with their attributes. Whatever changes, who reads, the condition or what
 * is said of a document, holds at the next request, also for answers that were kept.
 */
let simulator: Simulator;
let server: RunningServer;
const keys: Record<string, { id: string; key: string }> = {};
const documents: Record<string, string> = {};

const condition = {
  'metadata.department': { $reader: 'department' },
  'metadata.clearance': { $lte: { $reader: 'clearance' } },
};
const reading = ['documents:read', 'queries:run'];
const texts = {
  open: 'The harbour opens at six, and the pilot boards at the outer buoy.',
  secret: 'The harbour also opens at midnight, for the revenue cutter alone.',
};

const as = (who: string, method: string, path: string, body?: unknown): Promise<Reply> =>
  call(server.url, keys[who]?.key ?? '', method, `/api/v1${path}`, body);
const admin = (method: string, path: string, body?: unknown): Promise<Reply> =>
  server.call(method, `/api/v1${path}`, body, { 'x-tenant-id': 'acme' });
const role = (document_condition: unknown) => admin('PATCH', '/roles/clerk', { document_condition });
const key = async (name: string, attributes: object, roleName = 'clerk') => {
  const made = await admin('POST', '/keys', { name, role: roleName, attributes });
  expect(made.status, made.text).toBe(201);
  keys[name] = made.json;
};
const titles = async (who: string) =>
  (await as(who, 'GET', '/documents')).json.documents
    .map((document: { title: string }) => document.title)
    .sort();
const ask = (who: string) => as(who, 'POST', '/query', { query: 'When does the harbour open?' });
const search = (who: string, mode: string) =>
  as(who, 'POST', '/search', { query: 'When does the harbour open?', mode });

beforeAll(async () => {
  simulator = createSimulator({ seed: 3 });
  const upstream = await simulator.start();
  server = await startServer();
  await server.call('POST', '/api/v1/tenants', { name: 'Acme', slug: 'acme' });
  const own = { clerk: [...reading, 'documents:write'], keeper: [...reading, 'keys:manage', 'roles:manage'] };
  for (const [name, permissions] of Object.entries(own)) {
    const made = await admin('POST', '/roles', { name, permissions, document_condition: condition });
    expect(made.status, made.text).toBe(201);
    expect(made.json.document_condition).toEqual(condition);
  }
  await admin('POST', '/providers', { name: 'sim', kind: 'openai', base_url: `${upstream.url}/v1` });
  for (const [name, model] of [
    ['embeddings', 'text-embedding-3-small'],
    ['default', 'gpt-4o-mini'],
  ]) {
    await admin('PUT', `/routes/${name}`, {
      ...(name === 'default' && { cache: { mode: 'exact' } }),
      tiers: [{ targets: [{ provider: 'sim', model, weight: 1 }] }],
    });
  }
  await key('reader', { department: 'harbour', clearance: 1 });
  for (const [title, clearance] of [
    ['open', 1],
    ['secret', 3],
  ] as const) {
    const metadata = { department: 'harbour', clearance };
    const added = await admin('POST', '/documents?wait=true', { title, text: texts[title], metadata });
    expect(added.status).toBe(201);
    documents[title] = added.json.id;
  }
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

/** What every way of reading shows of the secret document, and whether an answer came out of the cache. */
async function shows(who: string) {
  const [listed, one, text, lexical, vector, hybrid, answer] = await Promise.all([
    titles(who),
    as(who, 'GET', `/documents/${documents.secret}`),
    as(who, 'GET', `/documents/${documents.secret}/text`),
    search(who, 'lexical'),
    search(who, 'vector'),
    search(who, 'hybrid'),
    ask(who),
  ]);
  expect([lexical.status, vector.status, hybrid.status, answer.status]).toEqual([200, 200, 200, 200]);
  const everywhere = [
    listed.join(),
    one.text,
    text.text,
    lexical.text,
    vector.text,
    hybrid.text,
    answer.text,
  ];
  const secret = everywhere.map((shown) => /midnight|secret/.test(shown));
  expect(
    secret.every((found) => found === secret[0]),
    everywhere.join('\n'),
  ).toBe(true);
  expect([one.status, text.status]).toEqual(secret[0] ? [200, 200] : [404, 404]);
  return { secret: secret[0], cache: answer.headers.get('x-gatehouse-cache') };
}

describe('a reader under a condition', () => {
  it('reads what their attributes open, on every way', async () => {
    expect(await titles('reader')).toEqual(['open']);
    expect((await shows('reader')).secret).toBe(false);
    await key('chief', { department: 'harbour', clearance: 3 });
    expect((await shows('chief')).secret).toBe(true);
    for (const [name, attributes] of Object.entries({
      nobody: {},
      half: { clearance: 9 },
      elsewhere: { department: 'payroll', clearance: 9 },
      odd: { department: ['harbour'], clearance: '9' },
    })) {
      await key(name, attributes);
      expect(await titles(name), name).toEqual([]);
    }
  });

  it('reads more or less from the request on that follows a change of their attributes', async () => {
    await key('changing', { department: 'harbour', clearance: 1 });
    const token = await call(server.url, '', 'POST', '/api/v1/auth/token', {
      grant_type: 'client_credentials',
      client_id: keys.changing?.id,
      client_secret: keys.changing?.key,
    });
    keys.token = { id: '', key: token.json.access_token };
    for (const clearance of [1, 3, 1, 3]) {
      const attributes = { department: 'harbour', clearance };
      const changed = await admin('PATCH', `/keys/${keys.changing?.id}`, { attributes });
      expect(changed.json.attributes).toEqual(attributes);
      const secret = clearance === 3;
      expect(await shows('changing')).toEqual({ secret, cache: 'miss' });
      expect(await shows('changing')).toEqual({ secret, cache: 'hit' });
      expect((await shows('token')).secret).toBe(secret);
    }
  });

  it('reads more or less from the request on that follows a change of the condition', async () => {
    for (const [given, secret] of [
      [{ 'metadata.department': { $reader: 'department' } }, true],
      [condition, false],
      [null, true],
      [condition, false],
    ] as const) {
      expect((await role(given)).json.document_condition).toEqual(given);
      expect(await shows('reader')).toEqual({ secret, cache: 'miss' });
      expect(await shows('reader')).toEqual({ secret, cache: 'hit' });
    }
  });

  it('reads what they made themselves, where the condition asks for that', async () => {
    await role({ $or: [{ owner: { $reader: 'id' } }, { 'metadata.team': { $in: { $reader: 'groups' } } }] });
    expect(await titles('reader')).toEqual([]);
    const body = { title: 'mine', text: 'The keeper writes the hour into the log.' };
    const added = await as('reader', 'POST', '/documents?wait=true', body);
    expect(added.status).toBe(201);
    expect(await titles('reader')).toEqual(['mine']);
    expect(await titles('chief')).toEqual([]);
    const given = { name: 'pilot', role: 'clerk', groups: ['pilots'] };
    keys.pilot = (await admin('POST', '/keys', given)).json;
    expect(await titles('pilot')).toEqual([]);
    await admin('PUT', `/documents/${added.json.id}`, { metadata: { team: 'pilots' } });
    expect(await titles('pilot')).toEqual(['mine']);
    expect((await admin('DELETE', `/documents/${added.json.id}`)).status).toBe(200);
    await role(condition);
  });

  it('reads more or less from the request on that follows a change of what is said of a document', async () => {
    for (const clearance of [1, 3]) {
      const metadata = { department: 'harbour', clearance };
      expect((await admin('PUT', `/documents/${documents.secret}`, { metadata })).status).toBe(200);
      expect(await shows('reader')).toEqual({ secret: clearance === 1, cache: 'miss' });
      expect(await shows('reader')).toEqual({ secret: clearance === 1, cache: 'hit' });
    }
  });

  it('reads by the time of the request, and is given no answer of another time', async () => {
    const until = new Date(Date.now() + 8_000).toISOString();
    const metadata = { department: 'harbour', clearance: 3, until };
    expect((await admin('PUT', `/documents/${documents.secret}`, { metadata })).status).toBe(200);
    expect((await role({ 'metadata.until': { $gt: { $now: 0 } } })).status).toBe(200);
    expect(await titles('reader')).toEqual(['secret']);
    expect((await ask('reader')).text).toContain('midnight');
    const again = await ask('reader');
    expect(again.text).toContain('midnight');
    expect(again.headers.get('x-gatehouse-cache')).not.toBe('hit');
    await expect.poll(() => titles('reader'), { timeout: 20_000, interval: 200 }).toEqual([]);
    expect((await ask('reader')).text).not.toContain('midnight');
    await role(condition);
  });

  it('writes no document that they could not see, and hides none from themselves', async () => {
    const metadata = { department: 'harbour', clearance: 1 };
    const body = { title: 'Mine', text: 'The keeper trims the lamp at dusk.' };
    for (const unseen of [
      undefined,
      {},
      { ...metadata, clearance: 2 },
      { ...metadata, department: 'payroll' },
    ]) {
      const refused = await as('reader', 'POST', '/documents', { ...body, metadata: unseen });
      expect(refused.status).toBe(422);
      expect(refused.json.errors).toContainEqual(expect.objectContaining({ path: 'metadata' }));
    }
    const added = await as('reader', 'POST', '/documents?wait=true', { ...body, metadata });
    expect(added.status).toBe(201);
    const path = `/documents/${added.json.id}`;
    expect((await as('reader', 'PUT', path, { metadata: {} })).status).toBe(422);
    expect((await as('reader', 'GET', path)).json.metadata).toEqual(metadata);
    expect((await as('reader', 'DELETE', path)).status).toBe(200);
    // Who asked for a deletion may see what became of it; of others' they learn nothing.
    expect((await as('reader', 'GET', `${path}/deletion`)).status).toBe(200);
    expect((await as('chief', 'GET', `${path}/deletion`)).status).toBe(404);
    expect((await admin('GET', `${path}/deletion`)).status).toBe(200);
  });
});

describe('attributes and conditions', () => {
  it('are refused with the place that is wrong', async () => {
    const wrong: [unknown, string][] = [
      [{}, 'document_condition'],
      [{ region: 'eu' }, 'document_condition.region'],
      [{ 'metadata.': 1 }, 'document_condition.metadata.'],
      [{ 'metadata.a': null }, 'document_condition.metadata.a'],
      [{ 'metadata.a': {} }, 'document_condition.metadata.a'],
      [{ 'metadata.a': { $regex: '.*' } }, 'document_condition.metadata.a.$regex'],
      [{ 'metadata.a': { $lt: true } }, 'document_condition.metadata.a.$lt'],
      [{ 'metadata.a': { $in: 'x' } }, 'document_condition.metadata.a.$in'],
      [{ 'metadata.a': { $in: [] } }, 'document_condition.metadata.a.$in'],
      [{ 'metadata.a': { $nin: ['x', 1] } }, 'document_condition.metadata.a.$nin.1'],
      [{ 'metadata.a': { $exists: 1 } }, 'document_condition.metadata.a.$exists'],
      [{ 'metadata.a': { $eq: { $reader: '' } } }, 'document_condition.metadata.a.$eq'],
      [{ 'metadata.a': { $eq: { $reader: 'x', $now: 0 } } }, 'document_condition.metadata.a.$eq'],
      [{ created_at: { $lt: { $now: 0.5 } } }, 'document_condition.created_at.$lt'],
      [{ 'metadata.a': { $nin: { $reader: 'groups' } } }, 'document_condition.metadata.a.$nin'],
      [{ $not: { 'metadata.a': { $in: { $reader: 'groups' } } } }, 'document_condition.$not.metadata.a.$in'],
      [{ $or: [] }, 'document_condition.$or'],
      [{ $or: [{ owner: 'x' }, { $and: 3 }] }, 'document_condition.$or.1.$and'],
      [{ $where: 'true' }, 'document_condition.$where'],
      [{ 'metadata.a': 'nul \0' }, 'document_condition.metadata.a'],
    ];
    for (const [document_condition, path] of wrong) {
      const refused = await role(document_condition);
      expect(refused.status, JSON.stringify(document_condition)).toBe(422);
      expect(refused.json.errors[0].path).toBe(path);
    }
    let deep: object = { owner: 'x' };
    for (let i = 0; i < 9; i++) deep = { $not: deep };
    expect((await role(deep)).status).toBe(422);
    const many = { $or: Array.from({ length: 101 }, () => ({ owner: 'x' })) };
    expect((await role(many)).status).toBe(422);
    expect((await role({ 'metadata.a': { $in: Array(30).fill('x'.repeat(1_000)) } })).status).toBe(422);
    for (const attributes of [
      { id: 'x' },
      { groups: ['x'] },
      { a: { b: 1 } },
      { a: null },
      { '': 1 },
      { a: [1] },
    ]) {
      const refused = await admin('POST', '/keys', { name: 'x', attributes });
      expect(refused.status, JSON.stringify(attributes)).toBe(422);
    }
  });

  it('are set by nobody so that somebody reads more than they do', async () => {
    await key('keeper', { department: 'harbour', clearance: 1, shift: ['day'] }, 'keeper');
    const make = (attributes: object) =>
      as('keeper', 'POST', '/keys', { name: 'made', role: 'keeper', attributes });
    for (const attributes of [
      {},
      { clearance: 1 },
      { department: 'harbour', clearance: 1, shift: ['day'] },
    ]) {
      expect((await make(attributes)).status).toBe(201);
    }
    for (const attributes of [{ clearance: 2 }, { clearance: '1' }, { shift: [] }, { rank: 1 }]) {
      const refused = await make(attributes);
      expect(refused.status, JSON.stringify(attributes)).toBe(403);
      expect(refused.text).toContain(Object.keys(attributes)[0]);
    }
    const made = (await make({ department: 'harbour' })).json;
    const change = (who: string, id: string, attributes: object) =>
      as(who, 'PATCH', `/keys/${id}`, { attributes });
    expect((await change('keeper', made.id, { clearance: 1 })).status).toBe(200);
    expect((await change('keeper', made.id, { clearance: 3 })).status).toBe(403);
    expect(
      (await change('keeper', keys.keeper?.id ?? '', { department: 'harbour', clearance: 3 })).status,
    ).toBe(403);
    // Nor by another's key, whose secret they would get.
    await key('higher', { department: 'harbour', clearance: 3 }, 'keeper');
    expect((await as('keeper', 'POST', `/keys/${keys.higher?.id}/rotate`, {})).status).toBe(403);
    expect((await change('keeper', keys.higher?.id ?? '', {})).status).toBe(403);
    // Nor by another condition.
    const roles = (method: string, path: string, body?: object) =>
      as('keeper', method, `/roles${path}`, body);
    expect((await roles('PATCH', '/keeper', { document_condition: null })).status).toBe(403);
    expect((await roles('PATCH', '/keeper', { document_condition: { owner: 'x' } })).status).toBe(403);
    expect((await roles('PATCH', '/keeper', { description: 'Keeps keys' })).status).toBe(200);
    expect(
      (await roles('POST', '', { name: 'mine', permissions: reading, document_condition: condition })).status,
    ).toBe(403);
    expect((await admin('GET', '/roles/keeper')).json.document_condition).toEqual(condition);
    await admin('POST', '/roles', { name: 'spare', permissions: reading, document_condition: condition });
    expect((await roles('DELETE', '/spare')).status).toBe(403);
    expect((await roles('PATCH', '/spare', { permissions: ['documents:read'] })).status).toBe(200);
    expect((await admin('DELETE', '/roles/spare')).status).toBe(204);
    expect(await titles('keeper')).toEqual(['open']);
  });

  it('of people are set by nobody so that somebody reads more than they do', async () => {
    const permissions = [...reading, 'users:read', 'users:manage'];
    await admin('POST', '/roles', { name: 'warden', permissions, document_condition: condition });
    await key('warden', { department: 'harbour', clearance: 1 }, 'warden');
    const invite = (who: string, email: string, attributes: object, role = 'warden') =>
      (who === 'admin' ? admin : (m: string, path: string, body: object) => as(who, m, path, body))(
        'POST',
        '/users/invitations',
        { email, role, attributes },
      );
    expect((await invite('warden', 'a@example.com', { department: 'harbour', clearance: 2 })).status).toBe(
      403,
    );
    const users: Record<string, string> = {};
    for (const [email, who, attributes] of [
      ['low@example.com', 'warden', { department: 'harbour' }],
      ['high@example.com', 'admin', { department: 'harbour', clearance: 3 }],
    ] as const) {
      const invited = await invite(who, email, attributes);
      expect(invited.status, invited.text).toBe(201);
      const { token } = invited.json;
      const password = 'velvet-harbour-oxide-lantern';
      await call(server.url, '', 'POST', '/api/v1/auth/invitations/accept', { token, password });
      const all = (await admin('GET', '/users')).json.users;
      users[email] = all.find((user: { email: string }) => user.email === email).id;
    }
    const change = (email: string, body: object) => as('warden', 'PATCH', `/users/${users[email]}`, body);
    expect((await change('low@example.com', { attributes: { clearance: 1 } })).status).toBe(200);
    expect((await change('low@example.com', { attributes: { clearance: 3 } })).status).toBe(403);
    expect((await change('high@example.com', { attributes: { clearance: 1 } })).status).toBe(200);
    await admin('PATCH', `/users/${users['high@example.com']}`, { attributes: { clearance: 3 } });
    expect((await change('high@example.com', { role: 'warden' })).status).toBe(403);
    expect((await change('high@example.com', { name: 'Another name' })).status).toBe(200);
    const reset = (email: string) => as('warden', 'POST', `/users/${users[email]}/password-reset`);
    expect((await reset('low@example.com')).status).toBeLessThan(300);
    expect((await reset('high@example.com')).status).toBe(403);
  });

  it('bind people as they bind keys', async () => {
    const password = 'velvet-harbour-oxide-lantern';
    const invited = await admin('POST', '/users/invitations', {
      email: 'clerk@example.com',
      role: 'clerk',
      attributes: { department: 'harbour', clearance: 1 },
    });
    expect(invited.status, invited.text).toBe(201);
    const accepted = await call(server.url, '', 'POST', '/api/v1/auth/invitations/accept', {
      token: invited.json.token,
      password,
    });
    expect(accepted.status, accepted.text).toBeLessThan(300);
    const signIn = async () => {
      const given = await call(server.url, '', 'POST', '/api/v1/auth/token', {
        email: 'clerk@example.com',
        password,
      });
      keys.person = { id: '', key: given.json.access_token };
    };
    await signIn();
    expect((await shows('person')).secret).toBe(false);
    const user = (await admin('GET', '/users')).json.users.find(
      ({ email }: { email: string }) => email === 'clerk@example.com',
    );
    expect(user.attributes).toEqual({ department: 'harbour', clearance: 1 });
    const attributes = { department: 'harbour', clearance: 3 };
    expect((await admin('PATCH', `/users/${user.id}`, { attributes })).status).toBe(200);
    await signIn();
    expect((await shows('person')).secret).toBe(true);
  });
});
