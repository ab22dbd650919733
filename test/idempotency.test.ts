import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { createReceiver, type Receiver } from './harness/idempotency.ts';
import {
  call,
  type Reply,
  type RunningServer,
  removeDirectory,
  startServer,
  testAdminKey,
} from './harness/server.ts';

const duplicates = 1_000;
let test: TestDatabase;
let provider: Receiver;
let server: RunningServer;

const start = (dataDir?: string) =>
  startServer({
    ...(dataDir === undefined ? {} : { dataDir }),
    env: { DATABASE_URL: test.url, OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url },
  });

beforeAll(async () => {
  test = await createTestDatabase();
  provider = await createReceiver();
  server = await start();
});
afterAll(async () => {
  await server.stop();
  await provider.stop();
  await test.drop();
  await removeDirectory(server.dataDir);
});

const post = (path: string, body: unknown, key: string, as = testAdminKey, more = {}): Promise<Reply> =>
  call(server.url, as, 'POST', path, body, { 'idempotency-key': key, ...more });
const makeKey = (name: string, key: string) => post('/api/v1/keys', { name, role: 'viewer' }, key);
const isReplay = (reply: Reply) => reply.headers.get('idempotency-replayed') === 'true';

/** What is in the tables, seen past the server. */
async function traces(name: string) {
  const { platform } = test.database;
  const keys = await sql<{ id: string }>`select id from api_keys where name = ${name}`.execute(platform);
  const entries = await sql`select from audit_entries where target_type = 'api_key'
    and entry::jsonb #>> '{after,name}' = ${name}`.execute(platform);
  return { keys: keys.rows.length, entries: entries.rows.length };
}

describe('a request with an Idempotency-Key', () => {
  it('is done once, and answered alike each time', async () => {
    const first = await makeKey('twice', 'k-1');
    expect([first.status, isReplay(first)]).toEqual([201, false]);
    const second = await makeKey('twice', 'k-1');
    expect([second.status, second.text, isReplay(second)]).toEqual([201, first.text, true]);
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(second.headers.get('x-correlation-id')).not.toBe(first.headers.get('x-correlation-id'));
    expect(await traces('twice')).toEqual({ keys: 1, entries: 1 });
    // The key that was made works at once: it is committed, and known here.
    expect((await call(server.url, first.json.key, 'GET', '/api/v1/rate-limits')).status).toBe(200);
  });

  it('is refused with 422 when the key came with another request before', async () => {
    await makeKey('one', 'k-2');
    for (const other of [
      await makeKey('another', 'k-2'),
      await post('/api/v1/search', { query: 'one' }, 'k-2'),
      await call(server.url, testAdminKey, 'DELETE', '/api/v1/keys/none', undefined, {
        'idempotency-key': 'k-2',
      }),
    ]) {
      expect([other.status, other.json.errors?.[0]?.path]).toEqual([422, 'Idempotency-Key']);
    }
    expect((await traces('another')).keys).toBe(0);
  });

  it("is another caller's and another tenant's own", async () => {
    const made = await server.call('POST', '/api/v1/keys', { name: 'admin of keys', role: 'admin' });
    const tenant = await server.call('POST', '/api/v1/tenants', { slug: 'other', name: 'Other' });
    const one = await makeKey('shared', 'k-3');
    const two = await post('/api/v1/keys', { name: 'shared', role: 'viewer' }, 'k-3', made.json.key);
    const three = await post('/api/v1/keys', { name: 'shared', role: 'viewer' }, 'k-3', testAdminKey, {
      'x-tenant-id': tenant.json.id,
    });
    expect([one, two, three].map((r) => [r.status, isReplay(r)])).toEqual([
      [201, false],
      [201, false],
      [201, false],
    ]);
    expect((await traces('shared')).keys).toBe(3);
  });

  it('is answered with its refusal again, when it was refused', async () => {
    const path = '/api/v1/keys/none';
    const remove = () =>
      call(server.url, testAdminKey, 'DELETE', path, undefined, { 'idempotency-key': 'k-4' });
    const first = await remove();
    const second = await remove();
    expect([first.status, second.status, isReplay(second)]).toEqual([404, 404, true]);
    expect(second.headers.get('content-type')).toContain('application/problem+json');
  });

  it('needs a key of 1 to 255 printable characters, no file and no stream', async () => {
    const form = new FormData();
    form.set('file', new Blob(['text']), 'a.txt');
    for (const reply of [
      await makeKey('never', 'x'.repeat(256)),
      await makeKey('never', 'ä'),
      await post('/api/v1/documents', form, 'k-5'),
      await post('/api/v1/query', { query: 'what?', stream: true }, 'k-5'),
      await post('/v1/chat/completions', { model: 'openai/m', messages: [], stream: true }, 'k-5'),
    ]) {
      expect(reply.status).toBe(422);
      expect(reply.text).toContain('Idempotency-Key');
    }
    expect((await traces('never')).keys).toBe(0);
  });

  it('is forgotten after a day', async () => {
    const first = await makeKey('daily', 'k-6');
    await sql`update idempotency_keys set expires_at = now() where key = 'k-6'`.execute(
      test.database.platform,
    );
    const second = await makeKey('daily', 'k-6');
    expect([second.status, isReplay(second)]).toEqual([201, false]);
    expect(second.json.id).not.toBe(first.json.id);
  });

  it('shows what it was answered to nobody who reads the tables', async () => {
    const { json } = await makeKey('sealed', 'k-7');
    const { rows } = await sql<{ sealed_reply: string }>`
      select sealed_reply from idempotency_keys where key = 'k-7'`.execute(test.database.platform);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.sealed_reply).not.toContain(json.key);
    expect(rows[0]?.sealed_reply).not.toContain(Buffer.from(json.key).toString('base64').slice(0, 20));
  });

  it('is not what another caller or key was answered, though their reply be put in its place', async () => {
    const other = await server.call('POST', '/api/v1/keys', { name: 'another caller', role: 'admin' });
    const body = { name: 'moved', role: 'viewer' };
    await makeKey('moved', 'moved-1');
    const replays = [
      () => post('/api/v1/keys', body, 'moved-1', other.json.key),
      () => post('/api/v1/keys', body, 'moved-2'),
    ];
    for (const replay of replays) expect((await replay()).status).toBe(201);
    await sql`update idempotency_keys set sealed_reply = (
        select sealed_reply from idempotency_keys where key = 'moved-1' and caller not like ${`${other.json.id}%`})
      where key in ('moved-1', 'moved-2')`.execute(test.database.platform);
    expect(isReplay(await makeKey('moved', 'moved-1'))).toBe(true);
    for (const replay of replays) {
      const reply = await replay();
      expect([reply.status, reply.text.includes('gh_')]).toEqual([503, false]);
    }
  });

  it('makes one call of a model, and one document', async () => {
    const ask = () =>
      post(
        '/v1/chat/completions',
        { model: 'openai/m', messages: [{ role: 'user', content: 'once' }] },
        'k-8',
      );
    const answers = await Promise.all(Array.from({ length: 5 }, ask));
    answers.push(await ask());
    expect(new Set(answers.map((a) => `${a.status} ${a.text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
    expect(answers.filter((a) => !isReplay(a))).toHaveLength(1);
    expect(provider.count()).toBe(1);
    const add = () => post('/api/v1/documents', { text: 'Kept once.', title: 'Once' }, 'k-9');
    const added = [await add(), await add()];
    expect(added.map((a) => [a.status, isReplay(a)])).toEqual([
      [202, false],
      [202, true],
    ]);
    expect(added[0]?.text).toBe(added[1]?.text);
  });
});

describe('a thousand duplicates of a create at once', () => {
  const all = (name: string, key: string) =>
    Promise.allSettled(Array.from({ length: duplicates }, () => makeKey(name, key)));
  const answered = (settled: PromiseSettledResult<Reply>[]) =>
    settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));

  /** Sends them again until each is answered with a 201; 409 says to come again. */
  const insist = async (name: string, key: string): Promise<Set<string>> => {
    const texts = new Set<string>();
    await Promise.all(
      Array.from({ length: duplicates }, async () => {
        for (let tries = 0; tries < 30; tries++) {
          const reply = await makeKey(name, key);
          if (reply.status === 201) {
            texts.add(reply.text);
            return;
          }
          expect(reply.status).toBe(409);
        }
        throw new Error('never answered');
      }),
    );
    return texts;
  };

  it('killed while the first is at work: one resource, one audit entry, one answer', async () => {
    const { platform } = test.database;
    let sent: Promise<PromiseSettledResult<Reply>[]> = Promise.resolve([]);
    await platform.transaction().execute(async (tx) => {
      // Readers of keys go on; whoever adds one waits here.
      await sql`lock table api_keys in share mode`.execute(tx);
      sent = all('killed at work', 'kill-1');
      for (;;) {
        const { rows } =
          await sql`select from pg_locks where relation = 'api_keys'::regclass and not granted`.execute(tx);
        if (rows.length > 0) break;
      }
      await server.kill9();
    });
    expect(answered(await sent)).toEqual([]);
    expect(await traces('killed at work')).toEqual({ keys: 0, entries: 0 });
    server = await start(server.dataDir);
    const texts = await insist('killed at work', 'kill-1');
    expect(texts.size).toBe(1);
    expect(await traces('killed at work')).toEqual({ keys: 1, entries: 1 });
  });

  it('killed when the first answers have left: the others get the same one from the next process', async () => {
    const before: string[] = [];
    let killed: Promise<void> | null = null;
    await Promise.allSettled(
      Array.from({ length: duplicates }, async () => {
        const reply = await makeKey('killed later', 'kill-2');
        if (reply.status === 201) before.push(reply.text);
        killed ??= server.kill9();
      }),
    );
    await killed;
    expect(before.length).toBeGreaterThan(0);
    server = await start(server.dataDir);
    const texts = await insist('killed later', 'kill-2');
    expect(new Set([...before, ...texts]).size).toBe(1);
    expect(await traces('killed later')).toEqual({ keys: 1, entries: 1 });
  });

  it('that asks about documents is answered again only while its caller may read the same', async () => {
    const admin = (method: string, path: string, body?: unknown) =>
      call(server.url, testAdminKey, method, `/api/v1${path}`, body);
    const added = await admin('POST', '/documents?wait=true', {
      title: 'Tides',
      text: 'The spring tide comes on the ninth of the month.',
      metadata: { level: 'secret' },
      acl: { groups: ['pilots'] },
    });
    expect(added.status, added.text).toBe(201);
    const made = await admin('POST', '/keys', { name: 'pilot', role: 'analyst', groups: ['pilots'] });
    const search = () =>
      post('/api/v1/search', { query: 'When is the spring tide?' }, 'k-tide', made.json.key);
    const told = (reply: Reply) => [reply.status, isReplay(reply), reply.text.includes('ninth')];
    expect(told(await search())).toEqual([200, false, true]);
    expect(told(await search())).toEqual([200, true, true]);

    await admin('PUT', '/masking-rules/level', { roles: ['payroll'] });
    const masked = await search();
    expect([isReplay(masked), masked.text.includes('secret')]).toEqual([false, false]);
    await admin('DELETE', '/masking-rules/level');

    await admin('PUT', `/documents/${added.json.id}/acl`, { groups: ['board'] });
    expect(told(await search())).toEqual([200, false, false]);
    await admin('PUT', `/documents/${added.json.id}/acl`, { groups: ['pilots'] });
    expect(told(await search())).toEqual([200, false, true]);

    const kept = () => sql`select from idempotency_keys where key = 'k-tide'`.execute(test.database.platform);
    expect((await kept()).rows).toHaveLength(1);
    const deleted = await admin('DELETE', `/documents/${added.json.id}`);
    expect(deleted.json.places).toContainEqual({ place: 'kept_replies', removed: 1, found: 0 });
    expect((await kept()).rows).toHaveLength(0);
    expect(told(await search())).toEqual([200, false, false]);
  });
});
